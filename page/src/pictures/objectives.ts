// Several objectives: the Pareto front.
import type { Study } from "../data";
import { frame, type Mark, nothing } from "../plot";
import { robust } from "../scales";
import { number } from "../words";
import { type Draw, inside, padded, spoilt, trialText } from "./draw";

export function front(study: Study, x: string, y: string, kept: Uint8Array): Draw {
  return (s, w, h, theme) => {
    const { columns, summary, count } = study;
    const own = (m: string) => (m === summary.objectives[0].metric ? columns.value : columns.values[m]);
    const direction = (m: string) => summary.objectives.find((o) => o.metric === m)?.direction ?? "minimize";
    const [xs, ys] = [own(x), own(y)];
    if (!xs?.some((v) => v !== null) || !ys?.some((v) => v !== null)) return nothing(s, w, h, theme, "No trial has finite values yet.");
    const f = frame(s, w, h, theme, { x: padded(...robust(xs, direction(x)), false), y: padded(...robust(ys, direction(y)), false), xLabel: `${x} (${direction(x)})`, yLabel: `${y} (${direction(y)})` });
    const best = new Set(summary.front);
    const marks: Mark[] = [];
    for (let i = 0; i < count; i++) {
      if (xs[i] === null || ys[i] === null || spoilt(columns.state[i]) || best.has(i)) continue;
      const [px, py] = [Math.min(f.left + f.width, Math.max(f.left, f.x(xs[i]!))), inside(f, f.y(ys[i]!))];
      s.circle(px, py, 2.8, { fill: columns.violation[i] ? theme.bad : theme.states.stopped, alpha: kept[i] ? 0.6 : 0.1 });
      if (kept[i]) marks.push({ x: px, y: py, trial: i, text: `${trialText(study, i)}\n${x} ${number(xs[i])}\n${y} ${number(ys[i])}` });
    }
    const line = summary.front.filter((i) => xs[i] !== null && ys[i] !== null).sort((a, b) => xs[a]! - xs[b]!);
    if (summary.objectives.length === 2) s.line(line.flatMap((i) => [f.x(xs[i]!), f.y(ys[i]!)]), { stroke: theme.best, alpha: 0.6 });
    for (const i of line) {
      s.circle(f.x(xs[i]!), f.y(ys[i]!), 4.5, { fill: theme.best, alpha: kept[i] ? 1 : 0.2 });
      marks.push({ x: f.x(xs[i]!), y: f.y(ys[i]!), trial: i, text: () => `on the front\n${trialText(study, i)}\n${x} ${number(xs[i])}\n${y} ${number(ys[i])}` });
    }
    return marks;
  };
}
