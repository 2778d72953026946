// How fast the budget is spent, and when it will be.
import type { Study, Summary } from "../data";
import { frame, nothing } from "../plot";
import { counted, timed } from "../scales";
import { duration } from "../words";
import type { Chronicle } from "./chronicle";
import type { Draw } from "./draw";

export type Spent = "epochs" | "trials";

export function budgetOf(summary: Summary): Record<Spent, number | null> {
  return {
    epochs: summary.max_epochs ?? summary.plan?.epochs ?? null,
    trials: summary.max_trials ?? summary.plan?.trials ?? null,
  };
}

// What was spent of it by when.
export function course(chronicle: Chronicle, of: Spent): { seconds: number[]; spent: number[] } {
  const own = of === "epochs" ? chronicle.burn : chronicle.finished;
  return { seconds: own.seconds as number[], spent: of === "epochs" ? chronicle.burn.epochs : chronicle.finished.trials };
}

export function burn(study: Study, chronicle: Chronicle | null, of: Spent): Draw {
  return (s, w, h, theme) => {
    if (!chronicle) return nothing(s, w, h, theme, "Reading the whole log…");
    const { seconds, spent } = course(chronicle, of);
    if (seconds.length < 2) return nothing(s, w, h, theme, of === "epochs" ? "No epoch has been trained yet." : "Hardly any trial has ended yet.");
    const limit = budgetOf(study.summary)[of];
    const last = spent[spent.length - 1];
    const now = seconds[seconds.length - 1];
    const end = projected(chronicle, of, limit);
    const until = end !== null && end < 8 * now ? end : now;
    const shown = limit !== null && limit < 8 * last;
    const f = frame(s, w, h, theme, {
      x: timed(0, until),
      y: counted(0, Math.max(1, Math.max(last, shown ? limit : last) * 1.05)),
      xLabel: `${until < 90 ? "seconds" : "time"} since the study began`,
      yLabel: of === "epochs" ? "epochs" : "trials that ended",
    });
    if (shown) {
      s.line([f.left, f.y(limit), f.left + f.width, f.y(limit)], { stroke: theme.bad, dash: [5, 4] });
      s.text(f.left + 6, f.y(limit) + 10, `budget ${limit}`, { fill: theme.bad });
    }
    if (end !== null && limit !== null && end > now)
      s.line([f.x(now), f.y(last), f.x(end), f.y(limit)], { stroke: theme.accent, dash: [3, 4], alpha: 0.8 });
    const line: number[] = [];
    seconds.forEach((t, i) => line.push(f.x(t), f.y(spent[i])));
    s.line(line, { stroke: theme.accent, width: 2.2 });
    return seconds.map((t, i) => ({ x: f.x(t), y: f.y(spent[i]), text: `${spent[i]} ${of}\nafter ${duration(t)}` }));
  };
}

// When the budget is spent, at the pace of the last third; null where there is no telling.
function projected(chronicle: Chronicle, of: Spent, limit: number | null): number | null {
  const { seconds, spent } = course(chronicle, of);
  if (limit === null || spent.length < 4) return null;
  const last = seconds.length - 1;
  const from = Math.floor((last * 2) / 3);
  const pace = (spent[last] - spent[from]) / (seconds[last] - seconds[from]);
  return pace > 0 && limit > spent[last] ? seconds[last] + (limit - spent[last]) / pace : null;
}

// The seconds until the first of its limits is met, and which one that is; null where there is no telling.
export function timeLeft(study: Study, chronicle: Chronicle | null): { seconds: number; by: string } | null {
  const { summary } = study;
  if (!chronicle || summary.held === "stopped") return null;
  const budget = budgetOf(summary);
  const found: { seconds: number; by: string }[] = [];
  for (const of of ["epochs", "trials"] as Spent[]) {
    const { seconds } = course(chronicle, of);
    const end = projected(chronicle, of, budget[of]);
    // While nobody works, time stands still: it counts from the last sign.
    const now = summary.state === "running" ? summary.now - summary.created : (seconds.at(-1) ?? 0);
    if (end !== null && end > now) found.push({ seconds: end - now, by: of });
  }
  if (summary.until !== null && summary.until > summary.now) found.push({ seconds: summary.until - summary.now, by: "clock" });
  return found.sort((a, b) => a.seconds - b.seconds)[0] ?? null;
}
