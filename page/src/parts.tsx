// Small parts that several pages have.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { theSession, wish } from "./data";
import type { Theme } from "./theme";
import { useTheme } from "./theme";

export function Select({ label, value, options, onChange }: { label: string; value: string; options: [string, string][] | string[]; onChange: (value: string) => void }) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(e) => onChange((e.target as HTMLSelectElement).value)}>
        {options.map((o) => {
          const [key, text] = Array.isArray(o) ? o : [o, o];
          return <option value={key} selected={key === value}>{text}</option>;
        })}
      </select>
    </label>
  );
}

export function Toggle({ label, on, onChange }: { label: string; on: boolean; onChange: (on: boolean) => void }) {
  return (
    <label class="field">
      <input type="checkbox" checked={on} onChange={(e) => onChange((e.target as HTMLInputElement).checked)} />
      <span>{label}</span>
    </label>
  );
}

export function Card({ title, kind, children }: { title: string; kind?: "good" | "warn" | "bad" | "plain"; children: ComponentChildren }) {
  return (
    <section class={`card ${kind ?? "plain"}`} aria-label={title}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

export function Spark({ values, label }: { values: (number | null)[]; label: string }) {
  const theme: Theme = useTheme();
  const finite = values.filter((v) => v !== null) as number[];
  if (finite.length < 2) return <span class="spark" />;
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const points = values
    .map((v, i) => (v === null ? null : `${((i / (values.length - 1)) * 96 + 2).toFixed(1)},${(22 - ((v - low) / (high - low || 1)) * 20).toFixed(1)}`))
    .filter((p) => p !== null)
    .join(" ");
  return (
    <svg class="spark" width="100" height="24" viewBox="0 0 100 24" role="img" aria-label={label}>
      <polyline points={points} fill="none" stroke={theme.accent} stroke-width="1.6" />
    </svg>
  );
}

export function Meter({ label, value, most }: { label: string; value: number; most: number | null }) {
  const share = most ? Math.min(1, value / most) : 0;
  return (
    <div class="meter">
      <span>{label}</span>
      <strong>{most ? `${value} of ${most}` : value}</strong>
      {most !== null && (
        <div class="track" role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={most} aria-valuenow={Math.min(value, most)}>
          <div style={{ width: `${100 * share}%` }} />
        </div>
      )}
    </div>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [done, set] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      set("copied");
    } catch {
      set("select and copy it below");
    }
    setTimeout(() => set(""), 2000);
  };
  return (
    <button type="button" onClick={copy}>
      {done || label}
    </button>
  );
}

// A button that sends a wish, asks once more where it cannot be undone, and says what came of it.
export function useWish(): { send: (body: Record<string, unknown>) => Promise<boolean>; said: { text: string; bad: boolean } | null } {
  const [said, set] = useState<{ text: string; bad: boolean } | null>(null);
  const send = async (body: Record<string, unknown>) => {
    let who = "";
    try {
      who = localStorage.getItem("luthier-who") ?? "";
    } catch {
      // storage may be forbidden
    }
    try {
      set({ text: await wish({ who, ...body }), bad: false });
      return true;
    } catch (problem) {
      set({ text: problem instanceof Error ? problem.message : String(problem), bad: true });
      return false;
    }
  };
  return { send, said };
}

export function Said({ said }: { said: { text: string; bad: boolean } | null }) {
  return (
    <p class={said?.bad ? "said bad" : "said"} role="status">
      {said?.text ?? ""}
    </p>
  );
}

export function Prune({ study, trial }: { study: string; trial: number }) {
  const { send, said } = useWish();
  const [sure, setSure] = useState(false);
  return (
    <span class="prune">
      <button
        type="button"
        class={sure ? "danger" : ""}
        onBlur={() => setSure(false)}
        onClick={() => {
          if (!sure) return setSure(true);
          setSure(false);
          void send({ study, action: "prune", trial });
        }}
        aria-label={`Prune trial ${trial}`}
      >
        {sure ? "Really prune?" : "Prune"}
      </button>
      {said && <Said said={said} />}
    </span>
  );
}

let steersNow: boolean | undefined;
export function useSteers(): boolean {
  const [steers, set] = useState(steersNow ?? false);
  if (steersNow === undefined)
    void theSession()
      .then((s) => {
        steersNow = s.steers;
        set(s.steers);
      })
      .catch(() => undefined);
  return steers;
}
