// Who trained what, and when: which workers were idle or lost, and which trials were tried again.
import type { Study } from "../data";
import { arrow, cross, type Entry, frame, key, keyHeight, type Mark, nothing } from "../plot";
import { category, timed } from "../scales";
import { duration } from "../words";
import type { Chronicle } from "./chronicle";
import type { Draw } from "./draw";

const LOST = ["lost", "hung", "out of memory"];
export const wasLost = (how: string): boolean => LOST.includes(how);
const MOST_ROWS = 100; // workers that are drawn, the newest
const WORTH = 5; // pixels of an idle time that is told of

export interface Life {
  worker: number;
  jobs: number[]; // their places, in time
  begin: number;
  end: number;
  busy: number;
}

// Each worker that had a job between two times, by when it began.
export function livesOf(chronicle: Chronicle, now: number, from = -Infinity, to = Infinity): Life[] {
  const { jobs } = chronicle;
  const lives = new Map<number, Life>();
  jobs.worker.forEach((worker, i) => {
    const [begin, end] = [jobs.begin[i]!, jobs.end[i] ?? now];
    if (end < from || begin > to) return;
    let life = lives.get(worker);
    if (!life) lives.set(worker, (life = { worker, jobs: [], begin, end, busy: 0 }));
    life.jobs.push(i);
    life.end = Math.max(life.end, end);
    life.busy += end - begin;
  });
  return [...lives.values()].sort((a, b) => a.worker - b.worker).slice(-MOST_ROWS);
}

export function timeline(chronicle: Chronicle, study: Study, from: number, to: number): Draw {
  return (s, w, h, theme) => {
    const { jobs, workers } = chronicle;
    const now = study.summary.now - study.summary.created;
    const lives = livesOf(chronicle, now, from, to);
    if (!lives.length) return nothing(s, w, h, theme, jobs.trial.length ? "No worker had a job in that time." : "No worker has begun a trial yet.");
    const names = lives.map((l) => workers[l.worker]);
    const left = Math.min(w * 0.3, 14 + Math.max(...names.map((n) => Math.min(24, n.length))) * 6.2);
    const drawn = lives.flatMap((l) => l.jobs);
    const colour = (how: string) => theme.states[how || "running"] ?? (wasLost(how) ? theme.bad : theme.states.queued);
    const entries: Entry[] = [...new Set(drawn.map((i) => jobs.how[i]).filter((how) => !wasLost(how)))].map((how) => [how === "paused" ? "at a rung's end" : how || "running", colour(how)]);
    entries.push(["idle", theme.dim, "line"]);
    if (drawn.some((i) => wasLost(jobs.how[i]))) entries.push(["worker lost", theme.bad, "cross"]);
    if (drawn.some((i) => jobs.again[i])) entries.push(["tried again", theme.ink, "arrow"]);
    const f = frame(s, w, h, theme, {
      x: timed(from, to), y: category([...names].reverse()), xLabel: "time since the study began", left, bare: true,
      top: 14 + keyHeight(entries, w - left - 20),
    });
    key(s, theme, left + 4, 11, entries, w - left - 20);
    const row = f.height / lives.length;
    const thick = Math.min(26, row * 0.72);
    const at = (time: number) => f.x(Math.min(to, Math.max(from, time)));
    const rowOf = new Map(lives.map((l, r) => [l.worker, f.top + row * (r + 0.5)]));
    const marks: Mark[] = [];
    s.clip(f.left - 5, 0, f.width + 10, h, () => {
      for (const life of lives) {
        const y = rowOf.get(life.worker)!;
        s.line([at(life.begin), y, at(life.end), y], { stroke: theme.dim, width: 1.2, alpha: 0.7 });
        life.jobs.forEach((i, k) => {
          const how = jobs.how[i];
          const [a, b] = [jobs.begin[i]!, jobs.end[i] ?? now];
          const [xa, xb] = [at(a), at(b)];
          s.rect(xa, y - thick / 2, Math.max(1, xb - xa - 0.6), thick, { fill: theme.paper });
          s.rect(xa, y - thick / 2, Math.max(1, xb - xa - 0.6), thick, { fill: colour(how), alpha: wasLost(how) ? 0.45 : 0.8 });
          if (xb - xa > 26 && thick > 9) s.text((xa + xb) / 2, y, String(jobs.trial[i]), { fill: wasLost(how) ? theme.ink : theme.paper, anchor: "middle", size: 10.5 });
          marks.push({
            x: (xa + xb) / 2, y, trial: jobs.trial[i],
            text: () =>
              `trial ${jobs.trial[i]}: ${how || "running"}${wasLost(how) ? " (its worker)" : ""}\n` +
              (jobs.again[i] ? `tried again after: ${jobs.again[i]}\n` : "") +
              `epochs ${jobs.from[i] + 1} to ${jobs.to[i]}\n${duration(a)} to ${jobs.end[i] === null ? "now" : duration(b)}\n${workers[life.worker]}`,
          });
          const before = k ? (jobs.end[life.jobs[k - 1]] ?? now) : a;
          if (at(a) - at(before) > WORTH) marks.push({ x: (at(before) + at(a)) / 2, y, text: `idle for ${duration(a - before)}\n${workers[life.worker]}` });
        });
      }
      const last = new Map<number, number>(); // the newest job of a trial
      for (const i of [...drawn].sort((a, b) => a - b)) {
        const before = last.get(jobs.trial[i]);
        last.set(jobs.trial[i], i);
        const y = rowOf.get(jobs.worker[i])!;
        if (wasLost(jobs.how[i])) cross(s, at(jobs.end[i] ?? now), y, 4.5, theme.bad);
        if (!jobs.again[i]) continue;
        const x = at(jobs.begin[i]!);
        if (before !== undefined)
          s.line([at(jobs.end[before] ?? now), rowOf.get(jobs.worker[before])!, x, y], { stroke: theme.ink, dash: [2, 3], alpha: 0.8 });
        arrow(s, x + 3, y, Math.min(5, thick / 2), theme.ink, theme.paper);
      }
    });
    return marks;
  };
}
