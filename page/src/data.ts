// What the server knows, kept up to date: one stream says when there is something new.
import { useEffect, useRef, useState } from "preact/hooks";
import { many } from "./words";

export interface Hyperparameter {
  name: string;
  short: string;
  kind: "float" | "int" | "choice";
  scale?: "linear" | "log" | "one_minus_log";
  low?: number;
  high?: number;
  options?: string[];
  condition: [string, string[]][];
}

export interface Columns {
  number?: number[];
  state: number[];
  value: (number | null)[];
  best_step: number[];
  step: number[];
  to_step: (number | null)[];
  began: (number | null)[];
  ended: (number | null)[];
  seconds: (number | null)[];
  bracket: number[];
  stage: number[];
  parent: number[];
  repeats: number[];
  violation: (number | null)[];
  retries: number[];
  worker: (string | null)[];
  reasons: string[];
  reason: number[];
  values: Record<string, (number | null)[]>;
  hyperparameters: Record<string, (number | null)[]>;
}

export interface Line {
  name: string;
  objective: string;
  state: string;
  counts: Record<string, number>;
  trials: number; // all of them
  repetitions: number; // those of a race among them: no candidates, and not of the budget
  copies: number; // members of a population that took another one's place: not of the budget either
  epochs: number;
  max_trials: number | null;
  max_epochs: number | null;
  best: number | null;
  best_trial: number | null;
  best_breaks: string; // the constraints that even the best breaks, "" where it keeps to them
  created: number;
  last_sign: number;
  stage: string;
  note: string;
  spark: (number | null)[];
}

export interface Stage {
  name: string;
  hyperparameters: string[];
  live: string[];
  narrowed: Record<string, [number, number]>;
  reason: string;
  planned: number | null;
  trials: number;
  first: number;
  best: number;
  words: string;
  dead: string[];
  effects: Record<string, { share: number; gain: number; low: number; high: number }>;
}

export interface Finalist {
  trial: number;
  found: number | null;
  values: number[];
  mean: number | null;
  low: number | null;
  high: number | null;
  p: number | null;
  why: string;
  dropped: number | null;
}

export interface Summary extends Line {
  objectives: { metric: string; direction: string }[];
  constraints: { metric: string; sign: string; bound: number }[];
  metrics: string[];
  space: Hyperparameter[];
  first_space: Hyperparameter[];
  searcher: string;
  scheduler: string;
  seed: number;
  version: string;
  held: string;
  held_why: string;
  until: number | null;
  queue: string[];
  front: number[];
  failures: Record<string, number>;
  returns: Record<string, number>;
  late_reports: number;
  notes: { trial: number; text: string; who: string; time: number }[];
  story: string[];
  stages: Stage[];
  race: { finalists: Finalist[]; over: boolean; rounds: number; words: string[] } | null;
  test_reads: { trial: number; values: Record<string, number>; who: string; time: number }[];
  plan: { trials: number; epochs: number | null; word: string; lines: string[] } | null;
  now: number;
}

// The trials of the search, which a budget of trials is of.
export const searched = (line: Line): number => line.trials - line.repetitions - line.copies;

// What there is beside them, in words.
export const copied = (line: Line): string => `${line.copies} that went on from ${line.copies === 1 ? "another's" : "others'"} weights`;
export const beside = (line: Line): string =>
  (line.repetitions ? ` and ${many(line.repetitions, "repetition")}` : "") + (line.copies ? ` and ${copied(line)}` : "");

export const STATES = ["queued", "running", "paused", "completed", "stopped", "diverged", "failed"];

export interface Study {
  summary: Summary;
  columns: Columns;
  count: number;
  version: number; // grows with every change
}

export class Failure extends Error {}

export async function get<T>(what: string, query: Record<string, string | string[]> = {}): Promise<T> {
  const pairs = Object.entries(query).flatMap(([k, v]) => (Array.isArray(v) ? v.map((one) => [k, one]) : [[k, v]]));
  waiting(1);
  try {
    return await read<T>(await fetch(`api/${what}?${new URLSearchParams(pairs)}`, { credentials: "same-origin" }));
  } finally {
    waiting(-1);
  }
}

// How many answers are awaited; tests and screen readers' "busy" look at it.
let awaited = 0;
function waiting(more: number): void {
  awaited += more;
  document.documentElement.dataset.awaited = String(awaited);
}

async function read<T>(answer: Response): Promise<T> {
  const text = await answer.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Failure(answer.ok ? "The server's answer cannot be read." : text.slice(0, 300));
  }
  if (!answer.ok) throw new Failure((body as { error?: string }).error ?? `The server answered ${answer.status}.`);
  return body as T;
}

let session: { version: string; storage: string; steers: boolean; key: string } | undefined;
export async function theSession() {
  session ??= await get<NonNullable<typeof session>>("session");
  return session;
}

export async function wish(body: Record<string, unknown>): Promise<string> {
  const send = async () =>
    fetch("api/steer", {
      method: "POST",
      credentials: "same-origin",
      headers: { "content-type": "application/json", "x-luthier-page": (await theSession()).key },
      body: JSON.stringify(body),
    });
  let answer = await send();
  if (answer.status === 403) {
    session = undefined; // the server was started again: its key is another one
    answer = await send();
  }
  return (await read<{ done: string }>(answer)).done;
}

// Puts the rows that changed in their places.
export function merged(old: Columns, fresh: Columns): Columns {
  const numbers = fresh.number ?? [];
  const place = <T,>(into: T[], from: T[]): T[] => {
    const found = into.slice();
    numbers.forEach((n, i) => (found[n] = from[i]));
    return found;
  };
  const reasons = old.reasons.slice();
  const known = new Map(reasons.map((text, i) => [text, i]));
  const again = fresh.reasons.map((text) => {
    if (!known.has(text)) known.set(text, reasons.push(text) - 1);
    return known.get(text)!;
  });
  const result: Record<string, unknown> = { reasons };
  for (const [key, column] of Object.entries(old)) {
    const own = (fresh as unknown as Record<string, unknown>)[key];
    if (key === "reasons" || key === "number") continue;
    if (key === "reason") result[key] = place(old.reason, fresh.reason.map((r) => again[r]));
    else if (Array.isArray(column)) result[key] = (own as unknown[]).length ? place(column, own as unknown[]) : column;
    else
      result[key] = Object.fromEntries(
        Object.entries(column as Record<string, unknown[]>).map(([name, values]) => [
          name,
          place(values, (own as Record<string, unknown[]>)[name] ?? []),
        ]),
      );
  }
  return result as unknown as Columns;
}

interface Answer {
  revision: string;
  cursor: number;
  whole: boolean;
  summary: Summary;
  columns: Columns;
}

let pausedNow = false;
const pauseListeners = new Set<() => void>();
export function togglePause(): void {
  pausedNow = !pausedNow;
  pauseListeners.forEach((tell) => tell());
}
export function usePaused(): boolean {
  const [, tell] = useState(0);
  useEffect(() => {
    const listen = () => tell((n) => n + 1);
    pauseListeners.add(listen);
    return () => void pauseListeners.delete(listen);
  }, []);
  return pausedNow;
}

// Calls back whenever the server says that something is new, while the page is seen and not paused.
// A browser allows six streams to one server, so a page that is hidden closes its own.
export function useLive(query: string, paused: boolean, changed: (cursor?: number) => void): boolean {
  const [open, setOpen] = useState(false);
  const call = useRef(changed);
  call.current = changed;
  useEffect(() => {
    let stream: EventSource | null = null;
    let again = 0;
    const begin = () => {
      if (stream || paused || document.hidden) return;
      stream = new EventSource(`api/live${query}`);
      stream.onopen = () => setOpen(true);
      stream.onmessage = (event) => call.current((JSON.parse(event.data as string) as { cursor?: number }).cursor);
      stream.onerror = () => {
        setOpen(false);
        if (stream?.readyState === EventSource.CLOSED) {
          stream = null;
          again = window.setTimeout(begin, 3000);
        }
      };
    };
    const end = () => {
      clearTimeout(again);
      stream?.close();
      stream = null;
      setOpen(false);
    };
    const seen = () => (document.hidden ? end() : begin());
    document.addEventListener("visibilitychange", seen);
    begin();
    return () => {
      document.removeEventListener("visibilitychange", seen);
      end();
    };
  }, [query, paused]);
  return open;
}

export function useStudy(name: string): { study: Study | null; error: string; live: boolean } {
  const [study, set] = useState<Study | null>(null);
  const [error, setError] = useState("");
  const paused = usePaused();
  const known = useRef<{ revision: string; cursor: number; space: string; study: Study } | null>(null);
  const busy = useRef(false);
  const newest = useRef(0); // the end of the log, as the stream told it last

  const look = async () => {
    if (busy.current) return;
    busy.current = true;
    try {
      let old = known.current;
      let answer = await get<Answer>("study", { study: name, since: old?.revision ?? "" });
      const space = JSON.stringify(answer.summary.space);
      if (old && !answer.whole && space !== old.space) {
        answer = await get<Answer>("study", { study: name });
        old = null;
      }
      const columns = answer.whole || !old ? answer.columns : merged(old.study.columns, answer.columns);
      const fresh = {
        summary: answer.summary,
        columns,
        count: columns.state.length,
        version: (known.current?.study.version ?? 0) + 1,
      };
      known.current = { revision: answer.revision, cursor: answer.cursor, space, study: fresh };
      set(fresh);
      setError("");
    } catch (problem) {
      setError(problem instanceof Failure ? problem.message : "The server does not answer.");
    }
    busy.current = false;
    if (known.current && newest.current > known.current.cursor) setTimeout(look, 300);
  };

  useEffect(() => {
    known.current = null;
    newest.current = 0;
    set(null);
    void look();
  }, [name]);
  // A stream begins by saying where the log ends: where that is known already, nothing is asked or drawn again.
  const live = useLive(`?study=${encodeURIComponent(name)}`, paused, (cursor) => {
    newest.current = cursor ?? 0;
    if (cursor !== known.current?.cursor) void look();
  });
  return { study, error, live };
}

// Asks for something again whenever *when* changes, one question at a time and at most every *apart* ms.
export function useAnswer<T>(
  what: string,
  query: Record<string, string | string[]>,
  when: unknown,
  apart = 1500,
): { answer: T | null; error: string } {
  const [answer, set] = useState<{ key: string; value: T } | null>(null);
  const [error, setError] = useState("");
  const key = what + JSON.stringify(query);
  const state = useRef({ key: "", busy: false, again: false, last: -Infinity, timer: 0, gone: false, ask: async () => {} });
  const s = state.current;
  s.ask = async () => {
    s.timer = 0;
    s.busy = true;
    try {
      const value = await get<T>(what, query);
      if (s.key === key && !s.gone) {
        set({ key, value });
        setError("");
      }
    } catch (problem) {
      if (s.key === key && !s.gone) setError(problem instanceof Failure ? problem.message : "The server does not answer.");
    }
    s.busy = false;
    s.last = s.key === key ? performance.now() : -Infinity;
    if (s.again && !s.gone) {
      s.again = false;
      later();
    }
  };
  const later = () => {
    if (s.busy) s.again = true;
    else if (!s.timer) s.timer = window.setTimeout(() => void s.ask(), Math.max(0, s.last + apart - performance.now()));
  };
  useEffect(() => {
    if (s.key !== key) {
      s.key = key;
      s.last = -Infinity;
      clearTimeout(s.timer);
      s.timer = 0;
    }
    later();
  }, [key, when]);
  useEffect(() => {
    s.gone = false;
    return () => {
      s.gone = true;
      clearTimeout(s.timer);
      s.timer = 0;
    };
  }, []);
  return { answer: answer && answer.key === key ? answer.value : null, error };
}
