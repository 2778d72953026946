// Which trials one looks at: brushes on axes, states, and a filter in words. All of it is in the URL.
import type { Hyperparameter, Study } from "./data";
import { STATES } from "./data";

export type Brush = [number, number] | string[]; // a range of values, or options
export type Brushes = Record<string, Brush>;

export function brushesFrom(text: string | null): Brushes {
  try {
    const found = JSON.parse(text || "{}") as unknown;
    if (typeof found !== "object" || found === null) return {};
    return Object.fromEntries(
      Object.entries(found as Record<string, unknown>).filter(([, b]) => Array.isArray(b)),
    ) as Brushes;
  } catch {
    return {};
  }
}

export function brushesTo(brushes: Brushes): string | null {
  return Object.keys(brushes).length ? JSON.stringify(brushes) : null;
}

// Reads such as: val_loss<0.3 optimizer=adam state!=stopped trial>=100
interface Term {
  name: string;
  sign: string;
  value: string;
}

export function termsFrom(text: string): Term[] {
  return [...text.matchAll(/([^\s&<>=!]+)\s*(<=|>=|!=|<|>|=)\s*([^\s&]+)/g)].map(([, name, sign, value]) => ({
    name,
    sign,
    value,
  }));
}

function compares(value: number | string | null, sign: string, wanted: string): boolean {
  if (value === null) return sign === "!=";
  if (sign === "=" || sign === "!=") {
    const number = Number(wanted);
    const same = typeof value === "number" && !Number.isNaN(number) ? value === number : String(value) === wanted;
    return same === (sign === "=");
  }
  const [a, b] = [Number(value), Number(wanted)];
  return sign === "<" ? a < b : sign === ">" ? a > b : sign === "<=" ? a <= b : a >= b;
}

export function column(study: Study, name: string): ((i: number) => number | string | null) | null {
  const { columns, summary } = study;
  const objective = summary.objectives[0].metric;
  if (name === "trial" || name === "number") return (i) => i;
  if (name === "state") return (i) => STATES[columns.state[i]];
  if (name === objective || name === "value") return (i) => columns.value[i];
  if (name in columns.values) return (i) => columns.values[name][i];
  if (name === "epochs" || name === "step") return (i) => columns.step[i];
  if (["seconds", "bracket", "stage", "retries", "worker"].includes(name)) {
    const own = columns[name as "seconds"];
    return (i) => own[i];
  }
  const found = summary.space.find((h) => h.name === name) ?? summary.space.find((h) => h.short === name);
  if (!found) return null;
  const own = columns.hyperparameters[found.name];
  if (!own) return null;
  if (found.kind !== "choice") return (i) => own[i];
  return (i) => (own[i] === null ? null : (found.options![own[i]!] ?? "?"));
}

export function selected(study: Study, brushes: Brushes, states: string[], filter: string): Uint8Array {
  const { columns, count, summary } = study;
  const kept = new Uint8Array(count).fill(1);
  if (states.length) {
    const wanted = STATES.map((s) => states.includes(s));
    for (let i = 0; i < count; i++) if (!wanted[columns.state[i]]) kept[i] = 0;
  }
  for (const [name, brush] of Object.entries(brushes)) {
    const isValue = name === summary.objectives[0].metric && !(name in columns.hyperparameters);
    const own = isValue ? columns.value : (columns.hyperparameters[name] ?? columns.values[name]);
    if (!own) continue;
    const hyperparameter = summary.space.find((h) => h.name === name);
    if (hyperparameter?.kind === "choice") {
      const wanted = (hyperparameter.options ?? []).map((o) => (brush as string[]).includes(o));
      for (let i = 0; i < count; i++) if (own[i] === null || !wanted[own[i]!]) kept[i] = 0;
    } else {
      const [low, high] = brush as [number, number];
      for (let i = 0; i < count; i++) {
        const value = own[i];
        if (value === null || value < low || value > high) kept[i] = 0;
      }
    }
  }
  for (const { name, sign, value } of termsFrom(filter)) {
    const read = column(study, name);
    if (!read) continue;
    for (let i = 0; i < count; i++) if (kept[i] && !compares(read(i), sign, value)) kept[i] = 0;
  }
  return kept;
}

// A name in a filter that nothing is called by.
export function unknown(study: Study, filter: string): string[] {
  return termsFrom(filter)
    .map((t) => t.name)
    .filter((name) => !column(study, name));
}

export function shown(hyperparameter: Hyperparameter, value: number | null): string {
  if (value === null) return "–";
  if (hyperparameter.kind === "choice") return hyperparameter.options?.[value] ?? "?";
  return String(value);
}
