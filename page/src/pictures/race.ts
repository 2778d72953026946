// The race of the finalists.
import type { Summary } from "../data";
import { frame, nothing } from "../plot";
import { category, scaled } from "../scales";
import { number } from "../words";
import type { Draw } from "./draw";

export function race(summary: Summary): Draw {
  return (s, w, h, theme) => {
    const { finalists } = summary.race!;
    const told = finalists.filter((f) => f.values.length);
    if (!told.length) return nothing(s, w, h, theme, "No repetition has ended yet.");
    const all = told.flatMap((f) => [...f.values, f.found ?? f.values[0]]);
    let [low, high] = [Math.min(...all), Math.max(...all)];
    // Intervals are shown whole, but for those so wide that the values would be one line.
    const reach = 1.5 * (high - low);
    const ends = told.flatMap((f) => [f.low, f.high]).filter((v) => v !== null) as number[];
    [low, high] = [Math.min(low, Math.max(low - reach, Math.min(low, ...ends))), Math.max(high, Math.min(high + reach, Math.max(high, ...ends)))];
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
