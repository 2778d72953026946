// What a Gaussian process expects over one hyperparameter, or over two, with all others as in the best trial.
import type { Hyperparameter, Study } from "../data";
import { cross, type Frame, frame, type Mark } from "../plot";
import type { Scale } from "../scales";
import type { Surface } from "../surface";
import { ramp, type Theme } from "../theme";
import { cut, number } from "../words";
import { type Draw, gone, trialText } from "./draw";
import { axisOf } from "./hyperparameter";

export interface Expected {
  name: string;
  at: (number | null)[];
  mean: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  around: number;
}

// Drawn into a slice, behind its trials.
export function band(s: Surface, f: Frame, h: Hyperparameter, found: Expected, theme: Theme): void {
  const y = (v: number | null) => Math.min(f.top + f.height, Math.max(f.top, f.y(v ?? 0)));
  if (h.kind === "choice") {
    const half = Math.min(26, (f.width / Math.max(1, found.at.length)) * 0.34);
    found.at.forEach((v, i) => {
      const x = f.x(v!);
      s.rect(x - half, y(found.high[i]), 2 * half, Math.max(1, y(found.low[i]) - y(found.high[i])), { fill: theme.accent, alpha: 0.16 });
      s.line([x - half, y(found.mean[i]), x + half, y(found.mean[i])], { stroke: theme.ink, width: 1.6 });
    });
    return;
  }
  const across = found.at.map((v) => f.x(v!));
  const there = across.flatMap((x, i) => [x, y(found.high[i])]);
  const back = across.map((x, i) => [x, y(found.low[i])]).reverse().flat();
  s.polygon([...there, ...back], { fill: theme.accent, alpha: 0.16 });
  s.line(across.flatMap((x, i) => [x, y(found.mean[i])]), { stroke: theme.ink, width: 1.4, alpha: 0.85 });
}

export interface Contour {
  names: [string, string];
  across: (number | null)[];
  up: (number | null)[];
  mean: (number | null)[][];
  width: (number | null)[][];
  around: number;
  why_not?: string;
}

// The borders of cells round *values*, in places from 0 to 1.
function borders(scale: Scale, values: (number | null)[]): number[] {
  const at = values.map((v) => scale.place(v!));
  const between = at.slice(1).map((p, i) => (p + at[i]) / 2);
  if (scale.kind === "category") return [0, ...between, 1];
  return [Math.max(0, at[0] - ((between[0] ?? 1) - at[0])), ...between, Math.min(1, 2 * at[at.length - 1] - (between.at(-1) ?? 0))];
}

export function contourPicture(study: Study, found: Contour, kept: Uint8Array): Draw {
  return (s, w, h, theme) => {
    const { columns, summary, count } = study;
    const [one, two] = found.names.map((n) => summary.space.find((p) => p.name === n)!);
    const own = [one, two].map((p) => columns.hyperparameters[p.name] ?? []);
    const [x, y] = [axisOf(one, own[0]), axisOf(two, own[1])];
    const f = frame(s, w, h, theme, { x, y, xLabel: one.short, yLabel: two.short, bare: true, top: 34 });
    const all = found.mean.flat() as number[];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const good = (v: number) => {
      const share = high > low ? (v - low) / (high - low) : 0.5;
      return summary.objectives[0].direction === "maximize" ? share : 1 - share;
    };
    const widest = Math.max(1e-300, ...(found.width.flat() as number[]));
    const [xs, ys] = [borders(x, found.across), borders(y, found.up)];
    found.mean.forEach((row, j) =>
      row.forEach((v, i) => {
        const [a, b] = [xs[i], xs[i + 1]].map((p) => Math.round(f.left + p * f.width));
        const [top, bottom] = [ys[j + 1], ys[j]].map((p) => Math.round(f.top + (1 - p) * f.height));
        const sure = 1 - 0.8 * ((found.width[j][i] ?? widest) / widest); // what is not known is pale
        s.rect(a, top, b - a, bottom - top, { fill: ramp(theme, good(v!)), alpha: 0.12 + 0.78 * sure });
      }),
    );
    const marks: Mark[] = [];
    const jitter = (p: Hyperparameter, i: number, room: number) => (p.kind === "choice" ? ((((i * 0.618034) % 1) - 0.5) * room * 0.5) / (p.options!.length || 1) : 0);
    const r = count > 3000 ? 1.2 : count > 500 ? 1.8 : 2.8;
    const place = (i: number): [number, number] | null => {
      const [a, b] = [own[0][i], own[1][i]];
      if (a === null || b === null || gone(x, a) || gone(y, b)) return null;
      return [f.x(a) + jitter(one, i, f.width), f.y(b) + jitter(two, i + 7, f.height)];
    };
    for (let i = 0; i < count; i++) {
      const at = place(i);
      if (!at) continue;
      if (columns.state[i] >= 5) cross(s, ...at, 3, theme.states.diverged, kept[i] ? 0.9 : 0.2);
      else s.circle(...at, r, { fill: theme.ink, stroke: count > 500 ? undefined : theme.paper, alpha: kept[i] ? 0.8 : 0.12 });
      if (kept[i]) marks.push({ x: at[0], y: at[1], trial: i, text: () => trialText(study, i) });
    }
    const best = place(found.around);
    if (best) s.circle(...best, 6, { stroke: theme.best, width: 2.4 });
    const steps = 24;
    for (let i = 0; i < steps; i++) s.rect(f.left + i * 5, 8, 5.4, 10, { fill: ramp(theme, good(low + ((high - low) * i) / (steps - 1))), alpha: 0.9 });
    s.text(f.left + steps * 5 + 8, 13, `expected ${cut(summary.objectives[0].metric, 20)}: ${number(low, 3)} to ${number(high, 3)}`, { fill: theme.dim, size: 10.5 });
    return marks;
  };
}
