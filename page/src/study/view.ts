// What every view of a study is given.
import { type Study, useAnswer } from "../data";
import type { Chronicle } from "../pictures/chronicle";
import { go, link } from "../route";
import type { Brushes } from "../selection";

export interface View {
  study: Study;
  query: URLSearchParams;
  kept: Uint8Array;
  brushes: Brushes;
  states: string[];
  filter: string;
}

export const open = (study: Study) => (trial: number) => go(link("/trial", { name: study.summary.name, n: trial }));

export function useChronicle(study: Study) {
  return useAnswer<Chronicle>("chronicle", { study: study.summary.name }, study.version, 2000).answer;
}
