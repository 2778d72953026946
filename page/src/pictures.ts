// The pictures of a study. Each is a function of what is known: it draws, and returns its marks.
import type { Hyperparameter, Study, Summary } from "./data";
import { STATES } from "./data";
import { cross, type Frame, frame, key, type Mark, nothing } from "./plot";
import { category, robust, type Scale, scaled } from "./scales";
import { shown } from "./selection";
import type { Surface } from "./surface";
import { band, type Expected } from "./surrogate";
import { ramp, type Theme } from "./theme";
import { cut, duration, number, share } from "./words";

export type Draw = (s: Surface, w: number, h: number, theme: Theme) => Mark[];

const spoilt = (state: number) => state >= 5;

export function configurationText(study: Study, i: number, most = 12): string {
  const { summary, columns } = study;
  return summary.space
    .filter((h) => columns.hyperparameters[h.name]?.[i] !== null)
    .slice(0, most)
    .map((h) => `${h.short} ${h.kind === "choice" ? shown(h, columns.hyperparameters[h.name][i]) : number(columns.hyperparameters[h.name][i])}`)
    .join("\n");
}

export function trialText(study: Study, i: number): string {
  const { summary, columns } = study;
  const metric = summary.objectives[0].metric;
  return `trial ${i}: ${STATES[columns.state[i]]}\n${metric} ${number(columns.value[i], 5)}\n${configurationText(study, i)}`;
}

export function valueScale(values: (number | null)[], direction: string, log: boolean): Scale {
  return padded(...robust(values, direction), log);
}

// A scale that leaves a little air above and below.
function padded(low: number, high: number, log: boolean): Scale {
  if (log && low > 0) {
    const air = (high / low) ** 0.03;
    return scaled("log", low / air, high * air);
  }
  const air = 0.03 * (high - low);
  return scaled("linear", low - air, high + air);
}

const inside = (f: Frame, y: number) => Math.min(f.top + f.height, Math.max(f.top, y));

// -- best so far ------------------------------------------------------------------------------------

export interface Chronicle {
  workers: string[];
  hidden: number;
  segments: {
    trial: number[];
    worker: number[];
    begin: (number | null)[];
    end: (number | null)[];
    from: number[];
    to: number[];
    how: string[];
  };
  best: { seconds: (number | null)[]; epochs: number[]; trial: number[]; value: (number | null)[] };
  burn: { seconds: (number | null)[]; epochs: number[] };
  feed: { number: number; time: number; kind: string; text: string; who?: string; trial?: number }[];
  cursor: number;
}

export function bestByTrial(study: Study): { at: number; value: number; trial: number }[] {
  const { columns, summary, count } = study;
  const sign = summary.objectives[0].direction === "maximize" ? -1 : 1;
  const found: { at: number; value: number; trial: number }[] = [];
  let lowest = Infinity;
  for (let i = 0; i < count; i++) {
    const v = columns.value[i];
    if (v === null || spoilt(columns.state[i]) || columns.repeats[i] >= 0 || columns.violation[i]) continue;
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
      const f = frame(s, w, h, theme, { x: scaled("linear", 0, Math.max(1, count - 1)), y, xLabel: "trial", yLabel: metric });
      const r = count > 3000 ? 1.3 : count > 500 ? 1.9 : 3;
      const alpha = count > 3000 ? 0.45 : 0.75;
      for (let i = 0; i < count; i++) {
        const v = columns.value[i];
        const state = columns.state[i];
        const px = f.x(i);
        const colour = theme.states[STATES[state]];
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
    const label = x === "epochs" ? "epochs of all trials together" : "seconds since the study began";
    const values = points.map((p) => p.value);
    const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    const own = scaled(log && low > 0 ? "log" : "linear", low - (log ? 0 : 0.04 * (high - low)), high + 0.04 * (high - low));
    const f = frame(s, w, h, theme, { x: scaled("linear", 0, end), y: own, xLabel: label, yLabel: metric });
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

// -- the budget --------------------------------------------------------------------------------------

export function budgetOf(summary: Summary): { epochs: number | null; trials: number | null } {
  return {
    epochs: summary.max_epochs ?? summary.plan?.epochs ?? null,
    trials: summary.max_trials ?? summary.plan?.trials ?? null,
  };
}

export function burn(study: Study, chronicle: Chronicle | null): Draw {
  return (s, w, h, theme) => {
    if (!chronicle) return nothing(s, w, h, theme, "Reading the whole log…");
    const { seconds, epochs } = chronicle.burn as { seconds: number[]; epochs: number[] };
    if (seconds.length < 2) return nothing(s, w, h, theme, "No epoch has been trained yet.");
    const limit = budgetOf(study.summary).epochs;
    const last = epochs[epochs.length - 1];
    const now = seconds[seconds.length - 1];
    const end = projected(chronicle, limit);
    const until = end !== null && end < 8 * now ? end : now;
    const f = frame(s, w, h, theme, {
      x: scaled("linear", 0, until),
      y: scaled("linear", 0, Math.max(last, limit !== null && limit < 8 * last ? limit : last) * 1.05),
      xLabel: "seconds since the study began",
      yLabel: "epochs",
    });
    if (limit !== null && limit < 8 * last) {
      s.line([f.left, f.y(limit), f.left + f.width, f.y(limit)], { stroke: theme.bad, dash: [5, 4] });
      s.text(f.left + 6, f.y(limit) + 10, `budget ${limit}`, { fill: theme.bad });
    }
    if (end !== null && limit !== null && end > now)
      s.line([f.x(now), f.y(last), f.x(end), f.y(limit)], { stroke: theme.accent, dash: [3, 4], alpha: 0.8 });
    const line: number[] = [];
    seconds.forEach((t, i) => line.push(f.x(t), f.y(epochs[i])));
    s.line(line, { stroke: theme.accent, width: 2.2 });
    return seconds.map((t, i) => ({ x: f.x(t), y: f.y(epochs[i]), text: `${epochs[i]} epochs\nafter ${duration(t)}` }));
  };
}

// When the budget of epochs is spent, at the pace of the last third; null where there is no telling.
export function projected(chronicle: Chronicle | null, limit: number | null): number | null {
  if (!chronicle || limit === null || chronicle.burn.epochs.length < 4) return null;
  const { seconds, epochs } = chronicle.burn as { seconds: number[]; epochs: number[] };
  const last = seconds.length - 1;
  const from = Math.floor((last * 2) / 3);
  const pace = (epochs[last] - epochs[from]) / (seconds[last] - seconds[from]);
  return pace > 0 && limit > epochs[last] ? seconds[last] + (limit - epochs[last]) / pace : null;
}

// -- learning curves -----------------------------------------------------------------------------------

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
  options: { log: boolean; smooth: number; x: string; direction: string; style: CurveStyle; empty?: string; rungs?: number[] },
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
      x: scaled("linear", options.x === "seconds" ? 0 : Math.min(1, least), Math.max(most, least + 1)),
      y,
      xLabel: options.x === "seconds" ? "seconds trained" : "epoch",
      yLabel: cut(metrics.join(", "), 40),
    });
    for (const rung of options.rungs ?? [])
      if (options.x !== "seconds") s.line([f.x(rung), f.top, f.x(rung), f.top + f.height], { stroke: theme.dim, dash: [2, 4], alpha: 0.6 });
    const order = curves.trials.map((_, i) => i).sort((a, b) => options.style.front(curves.trials[a]) - options.style.front(curves.trials[b]));
    const marks: Mark[] = [];
    s.clip(f.left, f.top - 1, f.width + 2, f.height + 2, () => {
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
          if (values.length === 1) s.circle(line[0], line[1], 2, { fill: look.stroke, alpha: look.alpha });
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

// -- the ladder ------------------------------------------------------------------------------------------

export interface Ladder {
  brackets: {
    bracket: number;
    name: string;
    trials: number;
    rungs: {
      step: number;
      planned: number;
      arrived: number;
      promoted: number;
      trial: number[];
      value: (number | null)[];
      fate: string[];
      cut: number | null;
    }[];
  }[];
  hidden: number;
  scheduler: string;
  planned_trials: number | null;
  planned_epochs: number | null;
}

export function ladder(bracket: Ladder["brackets"][number], study: Study, log: boolean): Draw {
  return (s, w, h, theme) => {
    const { rungs } = bracket;
    const { metric, direction } = study.summary.objectives[0];
    const values = rungs.flatMap((r) => r.value);
    if (!values.some((v) => v !== null)) return nothing(s, w, h, theme, "Nobody has arrived at a rung yet.");
    const y = valueScale(values, direction, log);
    const x = category(rungs.map((r) => `epoch ${r.step}`));
    const f = frame(s, w, h, theme, { x, y, yLabel: metric, top: 26, bottom: 44 });
    const places = new Map<string, [number, number]>();
    const marks: Mark[] = [];
    const wide = f.width / rungs.length;
    const colours: Record<string, string> = {
      promoted: theme.accent,
      ended: theme.best,
      waits: theme.states.paused,
      stopped: theme.states.stopped,
    };
    rungs.forEach((rung, r) => {
      const middle = f.x(r);
      rung.trial.forEach((trial, k) => {
        const v = rung.value[k];
        const spread = rung.trial.length > 1 ? ((k * 0.618034) % 1) - 0.5 : 0;
        const px = middle + spread * Math.min(wide * 0.5, 70);
        places.set(`${r}:${trial}`, [px, v === null ? f.top + 2 : inside(f, f.y(v))]);
      });
    });
    rungs.forEach((rung, r) => {
      if (r + 1 < rungs.length)
        for (const trial of rung.trial) {
          const [from, to] = [places.get(`${r}:${trial}`)!, places.get(`${r + 1}:${trial}`)];
          if (to) s.line([...from, ...to], { stroke: theme.accent, alpha: 0.35 });
        }
    });
    rungs.forEach((rung, r) => {
      const middle = f.x(r);
      if (rung.cut !== null) {
        const py = inside(f, f.y(rung.cut));
        s.line([middle - wide * 0.38, py, middle + wide * 0.38, py], { stroke: theme.ink, dash: [4, 3], alpha: 0.7 });
      }
      rung.trial.forEach((trial, k) => {
        const [px, py] = places.get(`${r}:${trial}`)!;
        const fate = rung.fate[k];
        if (rung.value[k] === null) cross(s, px, py, 3, theme.states.diverged);
        else s.circle(px, py, 3.6, { fill: colours[fate], alpha: fate === "stopped" ? 0.65 : 0.95 });
        const why = study.columns.reasons[study.columns.reason[trial]] ?? "";
        const rank = `place ${k + 1} of ${rung.arrived} at epoch ${rung.step}`;
        marks.push({
          x: px,
          y: py,
          trial,
          text: `trial ${trial}: ${fate}\n${metric} ${number(rung.value[k], 5)}, ${rank}${why && fate === "stopped" ? `\n${why}` : ""}`,
        });
      });
      const count = rung.planned ? `${rung.arrived} of ${rung.planned}` : String(rung.arrived);
      s.text(middle, f.top + f.height + 29, cut(`${count} in, ${rung.promoted} on`, Math.floor(wide / 5.6)), { fill: theme.dim, anchor: "middle", size: 10.5 });
    });
    key(s, theme, f.left + 4, 11, [["went on", colours.promoted], ["stopped", colours.stopped], ["waits", colours.waits], ["trained to its end", colours.ended]]);
    return marks;
  };
}

// -- one hyperparameter ------------------------------------------------------------------------------------

export interface Isolation {
  name: string;
  metric: string;
  budget: number;
  epochs: number;
  words: string;
  rows: { label: string; place: number; trials: number; median: number | null; low: number | null; high: number | null; best: number }[];
  why_not?: string;
}

export function axisOf(h: Hyperparameter, values: (number | null)[]): Scale {
  if (h.kind === "choice") return category(h.options ?? []);
  let [low, high] = [h.low!, h.high!];
  for (const v of values) if (v !== null) [low, high] = [Math.min(low, v), Math.max(high, v)];
  return scaled(h.scale ?? "linear", low, high);
}

export function slice(study: Study, h: Hyperparameter, log: boolean, kept: Uint8Array, crowded: { side: string; edge: number }[] = [], expected?: Expected): Draw {
  return (s, w, hh, theme) => {
    const { columns, summary, count } = study;
    const own = columns.hyperparameters[h.name] ?? [];
    const { metric, direction } = summary.objectives[0];
    if (!own.some((v) => v !== null)) return nothing(s, w, hh, theme, "Never active so far.");
    const x = axisOf(h, own);
    const y = valueScale(columns.value, direction, log);
    const f = frame(s, w, hh, theme, { x, y, yLabel: metric });
    for (const c of crowded) {
      const px = f.x(c.edge);
      s.rect(c.side === "low" ? px : px - 5, f.top, 5, f.height, { fill: theme.bad, alpha: 0.25 });
    }
    if (expected) band(s, f, h, expected, theme);
    const marks: Mark[] = [];
    const r = count > 3000 ? 1.3 : count > 500 ? 1.9 : 2.8;
    for (let i = 0; i < count; i++) {
      const v = own[i];
      if (v === null || v < -0.5) continue;
      const jitter = h.kind === "choice" ? ((((i * 0.618034) % 1) - 0.5) * f.width * 0.6) / (h.options!.length || 1) : 0;
      const px = f.x(v) + jitter;
      const value = columns.value[i];
      if (spoilt(columns.state[i])) {
        cross(s, px, f.top + 4, 2.6, theme.states.diverged, kept[i] ? 0.8 : 0.15);
        if (kept[i]) marks.push({ x: px, y: f.top + 4, text: () => trialText(study, i), trial: i });
        continue;
      }
      if (value === null) continue;
      const py = inside(f, f.y(value));
      const late = count > 1 ? i / (count - 1) : 1;
      s.circle(px, py, r, { fill: ramp(theme, 0.25 + 0.45 * late), alpha: kept[i] ? 0.75 : 0.1 });
      if (kept[i]) marks.push({ x: px, y: py, text: () => trialText(study, i), trial: i });
    }
    const b = summary.best_trial;
    if (b !== null && own[b] !== null && columns.value[b] !== null) {
      const jitter = h.kind === "choice" ? ((((b * 0.618034) % 1) - 0.5) * f.width * 0.6) / (h.options!.length || 1) : 0;
      s.circle(f.x(own[b]!) + jitter, inside(f, f.y(columns.value[b]!)), 5, { stroke: theme.best, width: 2.2 });
    }
    return marks;
  };
}

export function isolation(found: Isolation, direction: string): Draw {
  return (s, w, h, theme) => {
    const rows = found.rows.filter((r) => r.median !== null);
    if (!rows.length) return nothing(s, w, h, theme, "Too few trials.");
    const ends = rows.flatMap((r) => [r.low, r.high, r.median]).filter((v) => v !== null) as number[];
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const pad = (high - low) * 0.08;
    const f = frame(s, w, h, theme, {
      x: category(found.rows.map((r) => r.label)),
      y: scaled("linear", low - pad, high + pad),
      yLabel: `${found.metric}, best of ${found.budget}`,
      xLabel: found.name,
    });
    const bestMedian = direction === "maximize" ? Math.max(...rows.map((r) => r.median!)) : Math.min(...rows.map((r) => r.median!));
    return found.rows.flatMap((r, i) => {
      if (r.median === null) return [];
      const px = f.x(i);
      const colour = r.median === bestMedian ? theme.best : theme.accent;
      const [a, b] = [r.low ?? r.median, r.high ?? r.median];
      s.line([px, f.y(a), px, f.y(b)], { stroke: colour, width: 2 });
      for (const end of [a, b]) s.line([px - 6, f.y(end), px + 6, f.y(end)], { stroke: colour, width: 2 });
      s.circle(px, f.y(r.median), 4.5, { fill: colour });
      return [
        {
          x: px,
          y: f.y(r.median),
          trial: r.best >= 0 ? r.best : undefined,
          text: `${r.label}\nmedian ${number(r.median, 5)}\n90 %: ${number(r.low, 5)} to ${number(r.high, 5)}\n${r.trials} trials`,
        },
      ];
    });
  };
}

export interface Importance {
  method: string;
  rows: { name: string; share: number; low: number; high: number }[];
  why_not?: string;
}

export function importance(found: Importance): Draw {
  return (s, w, h, theme) => {
    const rows = found.rows.slice(0, 24);
    const left = Math.min(w * 0.42, 14 + Math.max(...rows.map((r) => r.name.length)) * 6.6);
    const top = 6;
    const height = (h - top - 26) / rows.length;
    const f = { left, width: w - left - 58 };
    const most = Math.max(0.05, ...rows.map((r) => r.high));
    const x = (v: number) => f.left + (v / most) * f.width;
    scaled("linear", 0, most)
      .ticks(Math.max(2, Math.min(5, Math.floor(f.width / 60))))
      .forEach((t) => {
        const px = f.left + t.at * f.width;
        s.line([px, top, px, h - 22], { stroke: theme.grid });
        s.text(px, h - 10, share(t.at * most), { fill: theme.dim, anchor: "middle" });
      });
    return rows.map((r, i) => {
      const y = top + height * (i + 0.5);
      const thick = Math.min(18, height * 0.62);
      s.text(left - 8, y, cut(r.name, Math.floor((left - 10) / 6.4)), { fill: theme.ink, anchor: "end", size: 11.5 });
      s.rect(f.left, y - thick / 2, Math.max(1, x(r.share) - f.left), thick, { fill: theme.accent, alpha: 0.85 });
      if (r.high > r.low) s.line([x(r.low), y, x(r.high), y], { stroke: theme.ink, width: 1.6 });
      for (const end of r.high > r.low ? [r.low, r.high] : []) s.line([x(end), y - 4, x(end), y + 4], { stroke: theme.ink, width: 1.6 });
      s.text(x(Math.max(r.share, r.high)) + 7, y, share(r.share), { fill: theme.ink });
      const interval = r.high > r.low ? `, 90 %: ${share(r.low)} to ${share(r.high)}` : "";
      return { x: x(r.share), y, text: `${r.name}\n${share(r.share)}${interval}` };
    });
  };
}

// -- the space: what was searched, and where the best lie ------------------------------------------------------

export function spaces(study: Study, edges: { name: string; side: string; to: number | null }[]): Draw {
  return (s, w, h, theme) => {
    const { summary, columns, count } = study;
    const all = summary.space;
    const left = Math.min(w * 0.32, 14 + Math.max(...all.map((p) => p.short.length)) * 6.6);
    const row = h / all.length;
    const sign = summary.objectives[0].direction === "maximize" ? -1 : 1;
    const ranked = Array.from({ length: count }, (_, i) => i)
      .filter((i) => columns.value[i] !== null && !spoilt(columns.state[i]))
      .sort((a, b) => sign * (columns.value[a]! - columns.value[b]!));
    const top = ranked.slice(0, Math.max(3, Math.ceil(ranked.length / 10)));
    const marks: Mark[] = [];
    all.forEach((p, i) => {
      const own = columns.hyperparameters[p.name] ?? [];
      const scale = axisOf(p, own);
      const first = summary.first_space.find((one) => one.name === p.name);
      const y = row * i + row * 0.5;
      const [a, b] = [left + 60, w - 66];
      const x = (v: number) => a + Math.min(1, Math.max(0, scale.place(v))) * (b - a);
      s.text(left - 8, y, cut(p.short, Math.floor((left - 10) / 6.4)), { fill: theme.ink, anchor: "end", size: 11.5 });
      const bins = new Float64Array(scale.kind === "category" ? scale.options!.length : 40);
      const goodBins = new Float64Array(bins.length);
      const bin = (v: number) => Math.min(bins.length - 1, Math.max(0, Math.floor(scale.place(v) * bins.length)));
      for (const v of own) if (v !== null && v > -0.5) bins[bin(v)]++;
      for (const t of top) if (own[t] !== null && own[t]! > -0.5) goodBins[bin(own[t]!)]++;
      const tallest = Math.max(1, ...bins);
      const goodTallest = Math.max(1, ...goodBins);
      const thick = Math.min(26, row * 0.7);
      const wide = (b - a) / bins.length;
      s.rect(a, y - thick / 2, b - a, thick, { fill: theme.grid, alpha: 0.45 });
      if (scale.kind !== "category" && first && (first.low !== p.low || first.high !== p.high)) {
        s.rect(x(p.low!), y - thick / 2, x(p.high!) - x(p.low!), thick, { stroke: theme.accent, width: 1.2 });
        s.line([x(first.low!), y + thick / 2 + 3, x(first.high!), y + thick / 2 + 3], { stroke: theme.dim, width: 2 });
      }
      bins.forEach((n, k) => {
        if (n) s.rect(a + k * wide + 0.5, y + thick / 2 - (n / tallest) * thick, wide - 1, (n / tallest) * thick, { fill: theme.states.stopped, alpha: 0.5 });
        const good = goodBins[k];
        if (good) s.rect(a + k * wide + 0.5, y + thick / 2 - (good / goodTallest) * thick * 0.9, wide - 1, (good / goodTallest) * thick * 0.9, { fill: theme.best, alpha: 0.6 });
      });
      const ends = scale.kind === "category" ? [scale.options![0], scale.options!.at(-1)!] : [number(scale.low, 3), number(scale.high, 3)];
      const crowded = edges.filter((e) => e.name === p.name);
      const hot = (side: string) => crowded.some((e) => e.side === side);
      s.text(a - 6, y, cut(ends[0], 9), { fill: hot("low") ? theme.bad : theme.dim, anchor: "end", bold: hot("low"), size: 10.5 });
      s.text(b + 6, y, cut(ends[1], 9), { fill: hot("high") ? theme.bad : theme.dim, bold: hot("high"), size: 10.5 });
      if (hot("low")) s.rect(a, y - thick / 2, 4, thick, { fill: theme.bad });
      if (hot("high")) s.rect(b - 4, y - thick / 2, 4, thick, { fill: theme.bad });
      const best = summary.best_trial;
      const where = best !== null && own[best] !== null && own[best] !== undefined && own[best]! > -0.5 ? x(own[best]!) : NaN;
      if (!Number.isNaN(where)) s.line([where, y - thick / 2 - 2, where, y + thick / 2 + 2], { stroke: theme.ink, width: 2 });
      marks.push({
        x: Number.isNaN(where) ? (a + b) / 2 : where,
        y,
        text: `${p.name}\n${scale.kind === "category" ? (p.options ?? []).join(", ") : `${number(p.low!)} to ${number(p.high!)}, ${p.scale}`}${best !== null && !Number.isNaN(where) ? `\nbest: ${shown(p, own[best])}` : ""}${p.condition.map(([n, v]) => `\nonly with ${n} ${v.join(" or ")}`).join("")}`,
      });
    });
    return marks;
  };
}

// -- workers ---------------------------------------------------------------------------------------------------

export function timeline(chronicle: Chronicle, study: Study, from: number, to: number): Draw {
  return (s, w, h, theme) => {
    const { segments, workers } = chronicle;
    if (!segments.trial.length) return nothing(s, w, h, theme, "No worker has begun a trial yet.");
    const left = Math.min(w * 0.3, 14 + Math.max(...workers.map((n) => Math.min(24, n.length))) * 6.2);
    const f = frame(s, w, h, theme, { x: scaled("linear", from, to), y: category([...workers].reverse()), xLabel: "seconds since the study began", left, bare: true, top: 26 });
    const hows = [...new Set(segments.how.map((how) => how || "running"))];
    key(s, theme, left + 4, 11, hows.map((how): [string, string] => [how === "paused" ? "at a rung's end" : how, theme.states[how] ?? theme.bad]));
    const row = f.height / workers.length;
    const thick = Math.min(26, row * 0.72);
    const now = study.summary.now - study.summary.created;
    const marks: Mark[] = [];
    s.clip(f.left, 0, f.width, h, () => {
      segments.trial.forEach((trial, i) => {
        const how = segments.how[i];
        const [a, b] = [segments.begin[i]!, segments.end[i] ?? now];
        if (b < from || a > to) return;
        const y = f.top + row * (segments.worker[i] + 0.5);
        const [xa, xb] = [f.x(Math.max(a, from)), f.x(Math.min(b, to))];
        const kind = how || "running";
        const colour = theme.states[kind] ?? (kind === "lost" || kind === "hung" || kind === "out of memory" ? theme.bad : theme.states.queued);
        s.rect(xa, y - thick / 2, Math.max(1, xb - xa - 0.6), thick, { fill: colour, alpha: 0.8 });
        if (["lost", "hung", "out of memory"].includes(kind)) cross(s, xb, y, 4, theme.bad);
        if (xb - xa > 26) s.text((xa + xb) / 2, y, String(trial), { fill: theme.paper, anchor: "middle", size: 10.5 });
        marks.push({ x: (xa + xb) / 2, y, trial, text: () => `trial ${trial}: ${kind}\nepochs ${segments.from[i] + 1} to ${segments.to[i]}\n${duration(a)} to ${segments.end[i] === null ? "now" : duration(b)}\n${workers[segments.worker[i]]}` });
      });
    });
    return marks;
  };
}

// -- several objectives, and the race ------------------------------------------------------------------------------

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

export function race(summary: Summary): Draw {
  return (s, w, h, theme) => {
    const { finalists } = summary.race!;
    const told = finalists.filter((f) => f.values.length);
    if (!told.length) return nothing(s, w, h, theme, "No repetition has ended yet.");
    const all = told.flatMap((f) => [...f.values, f.found ?? f.values[0]]);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const pad = (high - low || 1) * 0.08;
    const f = frame(s, w, h, theme, { x: category(told.map((t) => `trial ${t.trial}`)), y: scaled("linear", low - pad, high + pad), yLabel: summary.objectives[0].metric });
    return told.flatMap((t, i) => {
      const px = f.x(i);
      const colour = t.dropped !== null ? theme.states.stopped : i === 0 ? theme.best : theme.accent;
      if (t.low !== null && t.high !== null) s.line([px, Math.min(f.top + f.height, f.y(Math.max(t.low, low - pad))), px, Math.max(f.top, f.y(Math.min(t.high, high + pad)))], { stroke: colour, width: 2 });
      t.values.forEach((v, k) => s.circle(px + 10 + (k % 4) * 4, f.y(v), 2.2, { fill: colour, alpha: 0.6 }));
      if (t.found !== null) s.rect(px - 14, f.y(t.found) - 1, 10, 2, { fill: theme.dim });
      if (t.mean === null) return [];
      s.circle(px, f.y(t.mean), 5, { fill: colour });
      return [{ x: px, y: f.y(t.mean), trial: t.trial, text: `trial ${t.trial}\nmean ${number(t.mean, 5)} of ${t.values.length} seeds\n95 %: ${number(t.low, 5)} to ${number(t.high, 5)}\nin the search ${number(t.found, 5)}\n${t.why}` }];
    });
  };
}
