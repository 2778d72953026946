// Where a value lies on its axis, on the hyperparameter's own scale.

export interface Tick {
  at: number; // 0 to 1
  label: string;
}

export interface Scale {
  kind: "linear" | "log" | "one_minus_log" | "category";
  low: number;
  high: number;
  options?: string[];
  place(value: number): number;
  value(place: number): number;
  ticks(count: number): Tick[];
}

import { clock, number } from "./words";

const forward = {
  linear: (x: number) => x,
  log: (x: number) => Math.log10(x),
  one_minus_log: (x: number) => -Math.log10(1 - x),
};
const inverse = {
  linear: (z: number) => z,
  log: (z: number) => 10 ** z,
  one_minus_log: (z: number) => 1 - 10 ** -z,
};

export function scaled(kind: "linear" | "log" | "one_minus_log", low: number, high: number): Scale {
  if (kind === "log" && !(low > 0)) kind = "linear";
  if (kind === "one_minus_log" && !(high < 1)) kind = "linear";
  if (!(high > low)) {
    const around = Math.abs(low) || 1;
    [low, high] = kind === "linear" ? [low - around * 0.05, low + around * 0.05] : [low, high];
    if (kind === "log") [low, high] = [low / 1.1, low * 1.1];
  }
  const a = forward[kind](low);
  const b = forward[kind](high);
  const span = b - a || 1;
  const place = (value: number) => (forward[kind](value) - a) / span;
  const value = (at: number) => inverse[kind](a + at * span);
  const ticks = (count: number) => {
    const found =
      kind === "linear" ? even(low, high, count) : kind === "log" ? decades(a, b, count) : nines(low, high);
    const ends = found.length >= 2 ? found : kind === "linear" ? found : even(low, high, count);
    const near = new Set(ends.map((v) => number(v, 3))).size < ends.length; // then three digits tell too little
    return ends
      .map((v) => ({ at: place(v), label: number(v, near ? 6 : 3) }))
      .filter((t) => t.at >= -1e-6 && t.at <= 1 + 1e-6);
  };
  return { kind, low, high, place, value, ticks };
}

// Of what is counted in whole numbers: epochs, trials.
export function counted(low: number, high: number): Scale {
  const whole = scaled("linear", low, high);
  const ticks = (count: number) =>
    even(low, high, Math.max(1, Math.min(count, high - low)), [1, 2, 5, 10]).map((v) => ({ at: whole.place(v), label: number(v, 3) }));
  return { ...whole, ticks };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000];

// Of seconds, marked in minutes, hours and days where they are many.
export function timed(low: number, high: number): Scale {
  const whole = scaled("linear", low, high);
  const ticks = (count: number) => {
    const step = STEPS.find((s) => s >= (high - low) / Math.max(1, count)) ?? (high - low) / Math.max(1, count);
    const found = [];
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) found.push({ at: whole.place(v), label: clock(v) });
    return found;
  };
  return high - low < 90 ? whole : { ...whole, ticks };
}

export function category(options: string[]): Scale {
  const count = Math.max(1, options.length);
  return {
    kind: "category",
    low: 0,
    high: count - 1,
    options,
    place: (value) => (value + 0.5) / count,
    value: (at) => Math.min(count - 1, Math.max(0, Math.floor(at * count))),
    ticks: () => options.map((label, i) => ({ at: (i + 0.5) / count, label })),
  };
}

function even(low: number, high: number, count: number, multiples = [1, 2, 2.5, 5, 10]): number[] {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = multiples.map((m) => m * power).find((s) => s >= rough * 0.999) ?? rough;
  const found: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && found.length < 50; i++)
    found.push(Number((i * step).toPrecision(12)));
  return found;
}

function decades(a: number, b: number, count: number): number[] {
  const first = Math.ceil(a - 1e-9);
  const last = Math.floor(b + 1e-9);
  if (b - a < 1.2) {
    const found: number[] = [];
    for (let power = Math.floor(a); power <= last + 1; power++)
      for (const m of b - a < 0.5 ? [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] : [1, 2, 5]) {
        const v = m * 10 ** power;
        if (Math.log10(v) >= a - 1e-9 && Math.log10(v) <= b + 1e-9) found.push(v);
      }
    return found;
  }
  const stride = Math.max(1, Math.ceil((last - first + 1) / Math.max(2, count)));
  const found: number[] = [];
  for (let power = first; power <= last; power += stride) found.push(10 ** power);
  return found;
}

function nines(low: number, high: number): number[] {
  return [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 0.99999].filter((v) => v >= low && v <= high);
}

// The range that shows most values well: far outliers on the bad side are drawn at its edge.
export function robust(values: (number | null)[], direction: string): [number, number] {
  const finite = (values.filter((v) => v !== null) as number[]).sort((a, b) => a - b);
  if (!finite.length) return [0, 1];
  const at = (share: number) => finite[Math.min(finite.length - 1, Math.floor(share * finite.length))];
  let [low, high] = [finite[0], finite[finite.length - 1]];
  const reach = 2.5 * (at(0.9) - at(0.1));
  if (finite.length >= 10 && reach > 0) {
    if (direction === "maximize") low = Math.max(low, at(0.1) - reach);
    else high = Math.min(high, at(0.9) + reach);
  }
  return [low, high];
}
