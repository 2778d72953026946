// The best so far, over trials, epochs or seconds.
import { STATES, type Study } from "../data";
import { cross, frame, type Frame, type Mark, nothing } from "../plot";
import { counted, scaled, timed } from "../scales";
import type { Surface } from "../surface";
import type { Theme } from "../theme";
import { duration } from "../words";
import type { Chronicle } from "./chronicle";
import { counts, type Draw, inside, spoilt, trialText, valueScale } from "./draw";

export function bestByTrial(study: Study): { at: number; value: number; trial: number }[] {
  const { columns, summary, count } = study;
  const sign = summary.objectives[0].direction === "maximize" ? -1 : 1;
  const found: { at: number; value: number; trial: number }[] = [];
  let lowest = Infinity;
  for (let i = 0; i < count; i++) {
    if (!counts(study, i)) continue;
    const v = columns.value[i]!;
    if (sign * v < lowest) {
      lowest = sign * v;
      found.push({ at: i, value: v, trial: i });
    }
  }
  return found;
}

export function best(study: Study, x: string, chronicle: Chronicle | null, log: boolean, kept: Uint8Array): Draw {
  return (s, w, h, theme) => {
    const { columns, summary, count } = study;
    const { metric, direction } = summary.objectives[0];
    if (!count) return nothing(s, w, h, theme, "No trial yet.");
    if (!columns.value.some((v) => v !== null)) return nothing(s, w, h, theme, "No trial has a finite value yet.");
    const y = valueScale(columns.value, direction, log);
    const marks: Mark[] = [];
    if (x === "trials") {
      const f = frame(s, w, h, theme, { x: counted(0, Math.max(1, count - 1)), y, xLabel: "trial", yLabel: metric });
      const r = count > 3000 ? 1.3 : count > 500 ? 1.9 : 3;
      const alpha = count > 3000 ? 0.45 : 0.75;
      for (let i = 0; i < count; i++) {
        const v = columns.value[i];
        const state = columns.state[i];
        const px = f.x(i);
        const colour = columns.violation[i] ? theme.bad : theme.states[STATES[state]];
        if (v === null || spoilt(state)) {
          if (v === null && !spoilt(state)) continue;
          cross(s, px, f.top + 4, 3, colour, kept[i] ? 0.9 : 0.2);
          marks.push({ x: px, y: f.top + 4, text: () => trialText(study, i), trial: i });
          continue;
        }
        const py = inside(f, f.y(v));
        s.circle(px, py, r, { fill: colour, alpha: kept[i] ? alpha : 0.12 });
        if (kept[i]) marks.push({ x: px, y: py, text: () => trialText(study, i), trial: i });
      }
      stairs(s, f, theme, bestByTrial(study), count - 1);
      return marks;
    }
    const told = chronicle?.best;
    if (!told) return nothing(s, w, h, theme, "Reading the whole log…");
    const ats = (x === "epochs" ? told.epochs : told.seconds) as number[];
    const points = ats.map((at, i) => ({ at, value: told.value[i]!, trial: told.trial[i] }));
    const burnt = (x === "epochs" ? chronicle!.burn.epochs : chronicle!.burn.seconds) as number[];
    const end = Math.max(1e-9, burnt.at(-1) ?? 0, ...ats.slice(-1));
    const label = x === "epochs" ? "epochs of all trials together" : `${end < 90 ? "seconds" : "time"} since the study began`;
    const values = points.map((p) => p.value);
    const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    const own = scaled(log && low > 0 ? "log" : "linear", low - (log ? 0 : 0.04 * (high - low)), high + 0.04 * (high - low));
    const f = frame(s, w, h, theme, { x: x === "epochs" ? counted(0, Math.max(1, end)) : timed(0, end), y: own, xLabel: label, yLabel: metric });
    stairs(s, f, theme, points, end);
    for (const p of points) {
      const text = `${trialText(study, p.trial)}\nafter ${x === "epochs" ? `${p.at} epochs` : duration(p.at)}`;
      s.circle(f.x(p.at), f.y(p.value), 3.5, { fill: theme.best });
      marks.push({ x: f.x(p.at), y: f.y(p.value), text, trial: p.trial });
    }
    return marks;
  };
}

function stairs(s: Surface, f: Frame, theme: Theme, points: { at: number; value: number }[], end: number): void {
  if (!points.length) return;
  const line: number[] = [];
  points.forEach((p, i) => {
    if (i) line.push(f.x(p.at), inside(f, f.y(points[i - 1].value)));
    line.push(f.x(p.at), inside(f, f.y(p.value)));
  });
  line.push(f.x(end), inside(f, f.y(points[points.length - 1].value)));
  s.line(line, { stroke: theme.best, width: 2.2 });
}
