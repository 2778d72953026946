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
