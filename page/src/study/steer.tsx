// Steering: every wish is an event in the log, with who and when.
import { useState } from "preact/hooks";
import { type Hyperparameter, searched, STATES, type Study } from "../data";
import { Card, Prune, Said, Select, useSteers, useWish } from "../parts";
import { Tabled } from "../picture";
import { link } from "../route";
import { Note } from "../trial/note";
import { cut, number } from "../words";
import { Feed } from "./feed";
import { useChronicle, type View } from "./view";

export function Steer({ view }: { view: View }) {
  const { study } = view;
  const steers = useSteers();
  const chronicle = useChronicle(study);
  if (!steers)
    return (
      <>
        <p class="empty">This dashboard only looks on: start it without <code>--read-only</code> to steer.</p>
        <Feed study={study} chronicle={chronicle} kinds={["steered", "note"]} />
      </>
    );
  const own = study.summary.notes.find((n) => n.trial < 0);
  return (
    <>
      <div class="cards wide-cards">
        <Hold study={study} />
        <Budget study={study} />
        <Enqueue study={study} />
        <Widen study={study} />
        <Note study={study.summary.name} note={study.summary.note} who={own?.who} time={own?.time} steers />
        <Who />
      </div>
      <Under study={study} />
      <Feed study={study} chronicle={chronicle} kinds={["steered", "note"]} />
    </>
  );
}

function Reason({ value, onInput }: { value: string; onInput: (text: string) => void }) {
  return (
    <label class="field block">
      <span>reason</span>
      <input type="text" value={value} maxLength={500} onInput={(e) => onInput((e.target as HTMLInputElement).value)} />
    </label>
  );
}

function Hold({ study }: { study: Study }) {
  const { summary } = study;
  const { send, said } = useWish();
  const [reason, setReason] = useState("");
  const act = (action: string) => void send({ study: summary.name, action, reason });
  return (
    <Card title="The study">
      <p>{summary.held ? `It is ${summary.held} by hand${summary.held_why ? `: ${summary.held_why}` : ""}.` : `It is ${summary.state}.`}</p>
      <Reason value={reason} onInput={setReason} />
      <div class="buttons">
        {summary.held ? (
          <button type="button" class="main" onClick={() => act("resume")}>Go on</button>
        ) : (
          <>
            <button type="button" onClick={() => act("pause")}>Pause</button>
            <button type="button" class="danger" onClick={() => act("stop")}>Stop</button>
          </>
        )}
      </div>
      <p class="dim">Running trials give their jobs back after their current epoch and lose nothing. Paused, workers wait; stopped, they end.</p>
      <Said said={said} />
    </Card>
  );
}

function Budget({ study }: { study: Study }) {
  const { summary } = study;
  const { send, said } = useWish();
  // What nobody has typed is as the log has it by now, and is not sent: others may have changed it.
  const [typed, type] = useState<Record<string, string>>({});
  const known = { trials: summary.max_trials, epochs: summary.max_epochs };
  const field = (name: keyof typeof known) => (
    <label class="field">
      <span>{name}</span>
      <input type="number" min={1} step={1} placeholder="no limit" value={typed[name] ?? known[name] ?? ""} onInput={(e) => type({ ...typed, [name]: (e.target as HTMLInputElement).value })} />
    </label>
  );
  // The browser lets nothing through that is no number: its text is "", which would be no limit.
  const set = async (event: Event) => {
    event.preventDefault();
    const limits = Object.entries(typed).map(([name, text]) => [name, text ? Number(text) : null]);
    if (await send({ study: summary.name, action: "budget", ...Object.fromEntries(limits) })) type({});
  };
  return (
    <Card title="Budget">
      <p class="dim">All of the study, what was trained already included: {searched(summary)} trials, {summary.epochs} epochs so far.</p>
      <form onSubmit={(event) => void set(event)}>
        {field("trials")}
        {field("epochs")}
        <div class="buttons">
          <button type="submit" class="main">Set</button>
        </div>
      </form>
      <Said said={said} />
    </Card>
  );
}

function active(h: Hyperparameter, values: Record<string, string>): boolean {
  return h.condition.every(([parent, wanted]) => wanted.includes(values[parent] ?? ""));
}

function Enqueue({ study }: { study: Study }) {
  const { summary, columns } = study;
  const { send, said } = useWish();
  const [values, set] = useState<Record<string, string>>({});
  const best = summary.best_trial;
  const text = (h: Hyperparameter): string => {
    if (h.name in values) return values[h.name];
    const v = best === null ? null : columns.hyperparameters[h.name]?.[best];
    if (v === null || v === undefined) return h.kind === "choice" ? h.options![0] : String(h.low!);
    return h.kind === "choice" ? (h.options![v] ?? h.options![0]) : String(v); // -1: gone from the space since
  };
  const all = Object.fromEntries(summary.space.map((h) => [h.name, text(h)]));
  const shown = summary.space.filter((h) => active(h, all));
  return (
    <Card title="Try this next">
      <p class="dim">{best === null ? "A configuration that is tried next." : `Begins with that of the best trial, ${best}.`}</p>
      <div class="values" tabIndex={0} role="group" aria-label="Configuration to try">
        {shown.map((h) =>
          h.kind === "choice" ? (
            <Select label={cut(h.name, 36)} value={all[h.name]} options={h.options!} onChange={(v) => set({ ...values, [h.name]: v })} />
          ) : (
            <label class="field">
              <span title={h.name}>{cut(h.name, 36)}</span>
              <input type="text" inputMode="decimal" value={all[h.name]} title={`${number(h.low)} to ${number(h.high)}`} onInput={(e) => set({ ...values, [h.name]: (e.target as HTMLInputElement).value })} />
            </label>
          ),
        )}
      </div>
      <div class="buttons">
        <button type="button" class="main" onClick={() => void send({ study: summary.name, action: "enqueue", configuration: Object.fromEntries(shown.map((h) => [h.name, all[h.name]])) })}>Enqueue</button>
      </div>
      {summary.queue.length > 0 && <ol class="dim">{summary.queue.map((q) => <li>{q}</li>)}</ol>}
      <Said said={said} />
    </Card>
  );
}

function Widen({ study }: { study: Study }) {
  const { summary } = study;
  const { send, said } = useWish();
  const [name, setName] = useState(summary.space[0]?.name ?? "");
  const h = summary.space.find((one) => one.name === name);
  const [low, setLow] = useState<string | null>(null);
  const [high, setHigh] = useState<string | null>(null);
  const [options, setOptions] = useState<string | null>(null);
  const [reason, setReason] = useState("");
  if (!h) return <Card title="The space"><p>Nothing is searched.</p></Card>;
  const choose = (next: string) => {
    setName(next);
    setLow(null);
    setHigh(null);
    setOptions(null);
  };
  const act = () =>
    void send({
      study: summary.name, action: "space", name, reason,
      ...(h.kind === "choice" ? { options: (options ?? h.options!.join("\n")).split("\n").map((o) => o.trim()).filter(Boolean) } : { low: low ?? String(h.low), high: high ?? String(h.high) }),
    });
  return (
    <Card title="Widen or narrow the space">
      <Select label="hyperparameter" value={name} options={summary.space.map((one): [string, string] => [one.name, cut(one.name, 36)])} onChange={choose} />
      {h.kind === "choice" ? (
        <label class="field block">
          <span>options, one a line</span>
          <textarea rows={Math.min(6, h.options!.length + 1)} value={options ?? h.options!.join("\n")} onInput={(e) => setOptions((e.target as HTMLTextAreaElement).value)} />
        </label>
      ) : (
        <>
          <label class="field"><span>from</span><input type="text" inputMode="decimal" value={low ?? String(h.low)} onInput={(e) => setLow((e.target as HTMLInputElement).value)} /></label>
          <label class="field"><span>to</span><input type="text" inputMode="decimal" value={high ?? String(h.high)} onInput={(e) => setHigh((e.target as HTMLInputElement).value)} /></label>
        </>
      )}
      <Reason value={reason} onInput={setReason} />
      <div class="buttons"><button type="button" class="main" onClick={act}>Change</button></div>
      <p class="dim">What was tried stays in the history. <a href={link("/study", { name: summary.name, tab: "hyperparameters" })}>See where the best lie</a></p>
      <Said said={said} />
    </Card>
  );
}

function Who() {
  const [name, set] = useState(() => {
    try {
      return localStorage.getItem("luthier-who") ?? "";
    } catch {
      return "";
    }
  });
  return (
    <Card title="Who you are">
      <label class="field block">
        <span>name</span>
        <input
          type="text" value={name} maxLength={100}
          onInput={(e) => {
            const next = (e.target as HTMLInputElement).value;
            set(next);
            try {
              localStorage.setItem("luthier-who", next);
            } catch {
              // storage may be forbidden: the name holds for nothing then
            }
          }}
        />
      </label>
      <p class="dim">Written in the log beside what you ask for. Empty: this machine's user.</p>
    </Card>
  );
}

function Under({ study }: { study: Study }) {
  const { columns, summary } = study;
  const under = columns.state.map((_, i) => i).filter((i) => columns.state[i] <= 2).slice(-200);
  return (
    <Tabled title="Trials under way" table={{ head: ["trial", "state", "epoch", summary.objectives[0].metric], rows: under.map((i) => [i, STATES[columns.state[i]], columns.step[i], columns.value[i]]) }}>
      {under.length === 0 ? <p class="caption">None.</p> : (
        <div class="table-holder" tabIndex={0} role="region" aria-label="Table of the trials under way" style={{ maxHeight: "360px" }}>
          <table>
            <thead><tr><th scope="col">trial</th><th scope="col">state</th><th scope="col">epoch</th><th scope="col">{cut(summary.objectives[0].metric, 24)}</th><th scope="col">steer</th></tr></thead>
            <tbody>
              {under.map((i) => (
                <tr key={i}>
                  <td><a href={link("/trial", { name: summary.name, n: i })}>{i}</a></td>
                  <td>{STATES[columns.state[i]]}</td>
                  <td>{columns.step[i]}</td>
                  <td>{number(columns.value[i], 5)}</td>
                  <td><Prune study={summary.name} trial={i} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Tabled>
  );
}
