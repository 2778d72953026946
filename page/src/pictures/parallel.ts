// Parallel coordinates: where every axis and line lies, and the axes drawn.
import type { Study } from "../data";
import { category, robust, type Scale, scaled } from "../scales";
import { type Brush, type Brushes, shown } from "../selection";
import type { Surface } from "../surface";
import type { Theme } from "../theme";
import { cut, number } from "../words";
import { gone, ranking } from "./draw";

export const TOP = 44;
const RAIL = 22; // below the axes, where hyperparameters that were not active lie
const BOTTOM = 14;

export interface Axis {
  name: string;
  label: string;
  scale: Scale;
  text(value: number): string;
  values: (number | null)[];
  ends: [number, number]; // of the scale, and of all values
}

function endsOf(scale: Scale, values: (number | null)[]): [number, number] {
  let [low, high] = [scale.low, scale.high];
  for (const v of values) if (v !== null) [low, high] = [Math.min(low, v), Math.max(high, v)];
  return [low, high];
}

export function axesOf(study: Study, names: string[], log: boolean): Axis[] {
  const { summary, columns } = study;
  const found: Axis[] = [];
  for (const name of names) {
    const h = summary.space.find((one) => one.name === name);
    if (!h) continue;
    const values = columns.hyperparameters[name] ?? [];
    let scale: Scale;
    if (h.kind === "choice") scale = category(h.options ?? []);
    else {
      const own = scaled(h.scale ?? "linear", h.low!, h.high!);
      scale = scaled(h.scale ?? "linear", ...endsOf(own, values));
    }
    found.push({ name, label: h.short, scale, values, ends: endsOf(scale, values), text: (v) => shown(h, v) });
  }
  summary.objectives.forEach(({ metric, direction }, i) => {
    const values = i ? columns.values[metric] : columns.value;
    const [low, high] = robust(values, direction);
    const scale = scaled(log && low > 0 ? "log" : "linear", low, high);
    found.push({ name: metric, label: metric, scale, values, ends: endsOf(scale, values), text: (v) => number(v, 6) });
  });
  return found;
}

export interface Geometry {
  xs: number[];
  ys: Float32Array[]; // by axis, then trial
  bottom: number;
  order: Int32Array; // of the trials, the best first
  rank: Float32Array; // 0 the best, 1 the worst
}

export function places(axes: Axis[], study: Study, width: number, height: number): Geometry {
  const bottom = height - RAIL - BOTTOM;
  const count = study.count;
  const gap = width / Math.max(1, axes.length);
  const ys = axes.map((axis) => {
    const found = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const v = axis.values[i];
      if (v === null || v === undefined || gone(axis.scale, v)) found[i] = bottom + RAIL;
      else {
        let place = Math.min(1.02, Math.max(-0.02, axis.scale.place(v)));
        if (axis.scale.kind === "category") place += (((i * 0.618034) % 1) - 0.5) * (0.5 / (axis.scale.options!.length || 1));
        found[i] = bottom - place * (bottom - TOP);
      }
    }
    return found;
  });
  // A repetition lies on the line of the trial that it repeats, and is as warm.
  const { repeats } = study.columns;
  const best = ranking(study);
  const at = new Int32Array(count).fill(count);
  best.forEach((trial, i) => (at[trial] = i));
  const others: number[] = [];
  for (let i = 0; i < count; i++) if (at[i] === count) others.push(i);
  for (const i of others) if (repeats[i] >= 0) at[i] = at[repeats[i]];
  const order = Int32Array.from([...best, ...others]);
  const rank = Float32Array.from(at, (place) => (count > 1 ? Math.min(1, place / (count - 1)) : 0));
  return { xs: axes.map((_, i) => gap * (i + 0.5)), ys, bottom, order, rank };
}

export function lineOf(g: Geometry, trial: number): number[] {
  const points: number[] = [];
  g.xs.forEach((x, i) => points.push(x, g.ys[i][trial]));
  return points;
}

// From 1 for the best to 0 for the worst. Among many trials some good one passes everywhere, so there fewer of
// them are warm.
export const warmth = (rank: number, count: number) => 1 - rank ** Math.min(1, Math.max(0.3, 1 - 0.35 * Math.log10(count / 100)));

export const alphaOf = (count: number) => Math.min(0.9, Math.max(0.25, 12 / Math.sqrt(count || 1)));

export function drawAxes(s: Surface, axes: Axis[], g: Geometry, brushes: Brushes, theme: Theme): void {
  const gap = axes.length > 1 ? g.xs[1] - g.xs[0] : 200;
  const turns = gap < 130; // titles take turns on two lines
  // The outermost titles have no room beyond their axes, and are moved inwards.
  const letters = (i: number) => Math.max(4, Math.floor((gap * (turns ? (i && i + 1 < axes.length ? 2 : 1.5) : 1) - 12) / 7.6));
  const end = g.xs.length ? g.xs[g.xs.length - 1] + gap / 2 : gap;
  axes.forEach((axis, i) => {
    const x = g.xs[i];
    const length = g.bottom - TOP;
    s.line([x, TOP, x, g.bottom], { stroke: theme.ink, alpha: 0.75 });
    s.line([x - 5, g.bottom + RAIL, x + 5, g.bottom + RAIL], { stroke: theme.dim, alpha: 0.8 });
    const title = cut(axis.label, letters(i));
    const half = title.length * 3.8;
    s.text(Math.min(end - half, Math.max(half, x)), i % 2 && turns ? 28 : 14, title, {
      fill: theme.ink,
      anchor: "middle",
      size: 11.5,
      bold: true,
    });
    const ticks = axis.scale.ticks(6);
    const every = Math.max(1, Math.ceil(ticks.length / (length / 14)));
    ticks.forEach((tick, k) => {
      const y = g.bottom - tick.at * length;
      s.line([x - 3, y, x, y], { stroke: theme.ink, alpha: 0.75 });
      if (k % every) return;
      const label = cut(tick.label, Math.max(4, Math.floor((gap - 20) / 6)));
      s.rect(x + 3, y - 7, label.length * 6 + 4, 14, { fill: theme.paper, alpha: 0.72 });
      s.text(x + 5, y, label, { fill: theme.dim, size: 10.5 });
    });
    const brush = brushes[axis.name];
    if (brush)
      for (const [a, b] of spans(axis, brush)) {
        const [y0, y1] = [g.bottom - b * length, g.bottom - a * length];
        s.rect(x - 8, y0, 16, Math.max(2, y1 - y0), { fill: theme.accent, alpha: 0.28 });
        s.rect(x - 8, y0, 16, Math.max(2, y1 - y0), { stroke: theme.accent, width: 1.5 });
      }
  });
}

// The parts of an axis, each from 0 to 1, that a brush keeps.
export function spans(axis: Axis, brush: Brush): [number, number][] {
  if (axis.scale.kind === "category") {
    const options = axis.scale.options!;
    return options
      .map((o, i) => [o, i] as const)
      .filter(([o]) => (brush as string[]).includes(o))
      .map(([, i]) => [i / options.length, (i + 1) / options.length]);
  }
  const [low, high] = brush as [number, number];
  const inside = (v: number) => Math.min(1, Math.max(0, axis.scale.place(v)));
  return [[inside(low), inside(high)]];
}

export function brushOf(axis: Axis, a: number, b: number): Brush {
  const [low, high] = a < b ? [a, b] : [b, a];
  if (axis.scale.kind === "category") {
    const options = axis.scale.options!;
    return options.filter((_, i) => (i + 1) / options.length > low + 1e-9 && i / options.length < high - 1e-9);
  }
  const short = (v: number) => Number(v.toPrecision(4));
  return [
    low <= 0 ? axis.ends[0] : short(axis.scale.value(low)),
    high >= 1 ? axis.ends[1] : short(axis.scale.value(high)),
  ];
}

export function nearestLine(g: Geometry, kept: Uint8Array, x: number, y: number): number {
  if (g.xs.length < 2) return -1;
  const gap = g.xs[1] - g.xs[0];
  const left = Math.min(g.xs.length - 2, Math.max(0, Math.floor((x - g.xs[0]) / gap)));
  const share = Math.min(1, Math.max(0, (x - g.xs[left]) / gap));
  let found = -1;
  let least = 7;
  for (const trial of g.order) {
    if (!kept[trial]) continue;
    const far = Math.abs(g.ys[left][trial] * (1 - share) + g.ys[left + 1][trial] * share - y);
    if (far < least) [found, least] = [trial, far];
  }
  return found;
}
