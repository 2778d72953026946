// How fast the budget is spent, and when it will be.
import type { Study, Summary } from "../data";
import { frame, nothing } from "../plot";
import { scaled } from "../scales";
import { duration } from "../words";
import type { Chronicle } from "./chronicle";
import type { Draw } from "./draw";

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
