// One hyperparameter: its slice, its values with all others tuned, and how much each one matters.
import type { Hyperparameter, Study } from "../data";
import { cross, frame, type Mark, nothing } from "../plot";
import { category, type Scale, scaled } from "../scales";
import { ramp } from "../theme";
import { cut, number, share } from "../words";
import { type Draw, gone, inside, spoilt, trialText, valueScale } from "./draw";
import { band, type Expected } from "./surrogate";

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
      if (v === null || gone(x, v)) continue;
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
      s.text(left - 8, y, cut(r.name, Math.floor((left - 12) / 6.9)), { fill: theme.ink, anchor: "end", size: 11.5 });
      s.rect(f.left, y - thick / 2, Math.max(1, x(r.share) - f.left), thick, { fill: theme.accent, alpha: 0.85 });
      if (r.high > r.low) s.line([x(r.low), y, x(r.high), y], { stroke: theme.ink, width: 1.6 });
      for (const end of r.high > r.low ? [r.low, r.high] : []) s.line([x(end), y - 4, x(end), y + 4], { stroke: theme.ink, width: 1.6 });
      s.text(x(Math.max(r.share, r.high)) + 7, y, share(r.share), { fill: theme.ink });
      const interval = r.high > r.low ? `, 90 %: ${share(r.low)} to ${share(r.high)}` : "";
      return { x: x(r.share), y, text: `${r.name}\n${share(r.share)}${interval}` };
    });
  };
}
