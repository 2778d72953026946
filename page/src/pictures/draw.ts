// What all pictures of trials have in common.
import { STATES, type Study } from "../data";
import type { Frame, Mark } from "../plot";
import { robust, type Scale, scaled } from "../scales";
import { shown } from "../selection";
import type { Surface } from "../surface";
import type { Theme } from "../theme";
import { number } from "../words";

export type Draw = (s: Surface, w: number, h: number, theme: Theme) => Mark[];

export const spoilt = (state: number) => state >= 5;

// Whether a trial can be the best: with a value, unspoilt, within the constraints, and no repetition of another one.
export function counts({ columns }: Study, i: number): boolean {
  return columns.value[i] !== null && !spoilt(columns.state[i]) && columns.repeats[i] < 0 && !columns.violation[i];
}

// The trials that have a value, the best first; those that break a constraint come after all others, and
// repetitions are left out.
export function ranking(study: Study): number[] {
  const { columns, summary, count } = study;
  const sign = summary.objectives[0].direction === "maximize" ? -1 : 1;
  const found: number[] = [];
  for (let i = 0; i < count; i++) if (columns.value[i] !== null && !spoilt(columns.state[i]) && columns.repeats[i] < 0) found.push(i);
  return found.sort((a, b) => (columns.violation[a] ?? 0) - (columns.violation[b] ?? 0) || sign * (columns.value[a]! - columns.value[b]!) || a - b);
}

// An option that the space does not have any more is sent as -1; among numbers -1 is one like any other.
export const gone = (scale: Scale, value: number) => scale.kind === "category" && value < 0;

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
export function padded(low: number, high: number, log: boolean): Scale {
  if (log && low > 0) {
    const air = (high / low) ** 0.03;
    return scaled("log", low / air, high * air);
  }
  const air = 0.03 * (high - low);
  return scaled("linear", low - air, high + air);
}

export const inside = (f: Frame, y: number) => Math.min(f.top + f.height, Math.max(f.top, y));
