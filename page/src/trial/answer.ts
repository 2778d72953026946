// What the server tells of trials, in full.
import type { Curves } from "../pictures/curves";

export interface TrialPage {
  number: number;
  state: string;
  value: number | null;
  best_step: number;
  step: number;
  to_step: number | null;
  rank: number | null;
  of: number;
  configuration: { name: string; value: string; best: string | null }[];
  yaml: string;
  python: string;
  outcomes: Record<string, number | null>;
  curves: Curves;
  rivals: Curves;
  repeats: number;
  repetitions: Curves;
  parent: number;
  children: number[];
  start: number;
  bracket: number;
  stage: number;
  checkpoint: number;
  retries: Record<string, number>;
  why: string;
  kind: string;
  traceback: string;
  worker: string | null;
  began: number;
  ended: number | null;
  last_sign: number | null;
  seconds: number | null;
  note: string;
  note_who: string;
  note_when: number | null;
  diagnosis: { kind: string; evidence: string; action: string; confidence: number }[];
}

export interface Trials {
  trials: TrialPage[];
  missing: number[];
  hidden: number; // trials beyond those that fit side by side
}
