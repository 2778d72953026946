// Learning curves.
import { frame, type Mark, nothing } from "../plot";
import { counted, robust, type Scale, scaled, timed } from "../scales";
import type { Theme } from "../theme";
import { cut, duration, number } from "../words";
import { type Draw, inside, padded } from "./draw";

export interface Curves {
  trials: number[];
  steps: (number[] | number)[];
  seconds: (number | null)[][];
  values: Record<string, (number | null)[][]>;
  of: number;
}

export const stepsOf = (steps: number[] | number): number[] =>
  typeof steps === "number" ? Array.from({ length: steps }, (_, i) => i + 1) : steps;

export function smoothed(values: (number | null)[], weight: number): (number | null)[] {
  if (!weight) return values;
  let mean = 0;
  let mass = 0;
  return values.map((v) => {
    if (v === null) return null;
    mean = weight * mean + (1 - weight) * v;
    mass = weight * mass + (1 - weight); // so that the first values are not drawn towards 0
    return mean / mass;
  });
}

// An axis of epochs; a single one lies in its middle.
const epochs = (least: number, most: number): Scale => (most > Math.min(1, least) ? counted(Math.min(1, least), most) : counted(least - 0.5, least + 0.5));

export interface CurveStyle {
  colour(trial: number, theme: Theme): string;
  width(trial: number): number;
  alpha(trial: number): number;
  text(trial: number): string;
  front(trial: number): number; // drawn in this order
}

export function curvesPicture(
  curves: Curves | null,
  metrics: string[],
  options: { log: boolean; smooth: number; x: string; direction: string; style: CurveStyle; empty?: string; rungs?: number[]; parentOf?: (trial: number) => number },
): Draw {
  return (s, w, h, theme) => {
    if (!curves) return nothing(s, w, h, theme, "Fetching the curves…");
    if (!curves.trials.length) return nothing(s, w, h, theme, options.empty ?? "Nothing has been reported yet.");
    const drawn = metrics.map((m) => curves.values[m]?.map((v) => smoothed(v, options.smooth)) ?? []);
    const all = drawn.flat(2).filter((v) => v !== null) as number[];
    if (!all.length) return nothing(s, w, h, theme, "No finite value was reported.");
    const xs = curves.trials.map((_, i) => (options.x === "seconds" ? (curves.seconds[i] as number[]) : stepsOf(curves.steps[i])));
    let [least, most] = [Infinity, -Infinity];
    for (const row of xs) for (const v of row) [least, most] = [Math.min(least, v), Math.max(most, v)];
    const y = padded(...robust(all, options.direction), options.log);
    const f = frame(s, w, h, theme, {
      x: options.x === "seconds" ? timed(0, most) : epochs(least, most),
      y,
      xLabel: options.x === "seconds" ? "seconds trained" : "epoch",
      yLabel: cut(metrics.join(", "), 40),
    });
    for (const rung of options.rungs ?? [])
      if (options.x !== "seconds") s.line([f.x(rung), f.top, f.x(rung), f.top + f.height], { stroke: theme.dim, dash: [2, 4], alpha: 0.6 });
    const places = new Map(curves.trials.map((t, i) => [t, i]));
    // Where a trial goes on from another one's checkpoint, its line begins on that one's.
    const origin = (i: number, m: number): [number, number] | null => {
      const from = places.get(options.parentOf?.(curves.trials[i]) ?? -1);
      if (from === undefined || options.x === "seconds" || !xs[i].length) return null;
      const k = xs[from].indexOf(xs[i][0] - 1);
      const v = k < 0 ? null : drawn[m][from]?.[k];
      return v === null || v === undefined ? null : [f.x(xs[from][k]), f.y(v)];
    };
    const order = curves.trials.map((_, i) => i).sort((a, b) => options.style.front(curves.trials[a]) - options.style.front(curves.trials[b]));
    const marks: Mark[] = [];
    s.clip(f.left - 3, f.top - 3, f.width + 6, f.height + 6, () => {
      for (const i of order) {
        const trial = curves.trials[i];
        const { style } = options;
        drawn.forEach((of, m) => {
          const values = of[i];
          if (!values) return;
          const line: number[] = [];
          values.forEach((v, k) => {
            const [px, py] = [f.x(xs[i][k]), v === null ? NaN : f.y(v)];
            line.push(px, py);
            if (v !== null)
              marks.push({
                x: px,
                y: inside(f, py),
                trial,
                text: () => `trial ${trial}: ${metrics[m]} ${number(v, 5)}\n${options.x === "seconds" ? duration(xs[i][k]) : `epoch ${xs[i][k]}`}\n${style.text(trial)}`,
              });
          });
          const look = { stroke: style.colour(trial, theme), width: style.width(trial), alpha: style.alpha(trial) };
          const begin = origin(i, m);
          if (begin && line.length) s.line([...begin, line[0], line[1]], { ...look, dash: [2, 3] });
          if (values.length === 1) s.circle(line[0], line[1], Math.max(2.4, style.width(trial) * 1.3), { fill: look.stroke, alpha: look.alpha });
          else s.line(line, { ...look, dash: m ? [5, 3] : undefined });
        });
      }
    });
    if (metrics.length > 1)
      metrics.forEach((m, i) => {
        const px = f.left + 10 + i * 130;
        s.line([px, f.top + 6, px + 22, f.top + 6], { stroke: theme.ink, dash: i ? [5, 3] : undefined, width: 1.5 });
        s.text(px + 27, f.top + 6, cut(m, 16), { fill: theme.dim });
      });
    return marks;
  };
}

export const flat = (curves: Curves, metrics: string[]) => ({
  head: ["trial", "epoch", ...metrics],
  rows: curves.trials.flatMap((t, i) => stepsOf(curves.steps[i]).map((step, k) => [t, step, ...metrics.map((m) => curves.values[m]?.[i]?.[k])])),
});

export function eachOnItsOwn(curves: Curves, metrics: string[]): Draw {
  return (s, w, h, theme) => {
    if (!curves.trials.length) return nothing(s, w, h, theme, "Nothing has been reported yet.");
    const steps = stepsOf(curves.steps[0]);
    const f = frame(s, w, h, theme, { x: epochs(steps[0], steps[steps.length - 1]), y: scaled("linear", 0, 1), xLabel: "epoch", left: 34, right: Math.min(190, w * 0.36), bare: true });
    const marks: Mark[] = [];
    const labels: { y: number; text: string; colour: string }[] = [];
    metrics.forEach((m, i) => {
      const values = curves.values[m][0];
      const finite = values.filter((v) => v !== null) as number[];
      if (!finite.length) return;
      const [low, high] = [Math.min(...finite), Math.max(...finite)];
      // What never changed lies one above the other, not all on one spot.
      const flat = metrics.length > 1 ? (i + 1) / (metrics.length + 1) : 0.5;
      const y = (v: number) => f.top + f.height - (high > low ? (v - low) / (high - low) : flat) * f.height * 0.96 - f.height * 0.02;
      const colour = theme.series[i % theme.series.length];
      s.line(values.flatMap((v, k) => [f.x(steps[k]), v === null ? NaN : y(v)]), { stroke: colour, width: 1.7, dash: i >= theme.series.length ? [4, 3] : undefined });
      if (finite.length === 1) values.forEach((v, k) => v !== null && s.circle(f.x(steps[k]), y(v), 3, { fill: colour }));
      values.forEach((v, k) => v !== null && marks.push({ x: f.x(steps[k]), y: y(v), text: `${m} ${number(v, 5)}\nepoch ${steps[k]}` }));
      labels.push({ y: y(finite[finite.length - 1]), text: `${cut(m, 16)} ${number(finite[finite.length - 1])}`, colour });
    });
    labels.sort((a, b) => a.y - b.y);
    labels.forEach((label, i) => {
      if (i) label.y = Math.max(label.y, labels[i - 1].y + 14);
    });
    for (let i = labels.length - 1, floor = f.top + f.height; i >= 0; i--, floor -= 14) labels[i].y = Math.min(labels[i].y, floor);
    labels.forEach((label) => s.text(f.left + f.width + 8, label.y, label.text, { fill: label.colour }));
    return marks;
  };
}
