// Who trained what, and when.
import type { Study } from "../data";
import { cross, frame, key, type Mark, nothing } from "../plot";
import { category, scaled } from "../scales";
import { duration } from "../words";
import type { Chronicle } from "./chronicle";
import type { Draw } from "./draw";

export function timeline(chronicle: Chronicle, study: Study, from: number, to: number): Draw {
  return (s, w, h, theme) => {
    const { segments, workers } = chronicle;
    if (!segments.trial.length) return nothing(s, w, h, theme, "No worker has begun a trial yet.");
    const left = Math.min(w * 0.3, 14 + Math.max(...workers.map((n) => Math.min(24, n.length))) * 6.2);
    const f = frame(s, w, h, theme, { x: scaled("linear", from, to), y: category([...workers].reverse()), xLabel: "seconds since the study began", left, bare: true, top: 26 });
    const hows = [...new Set(segments.how.map((how) => how || "running"))];
    key(s, theme, left + 4, 11, hows.map((how): [string, string] => [how === "paused" ? "at a rung's end" : how, theme.states[how] ?? theme.bad]));
    const row = f.height / workers.length;
    const thick = Math.min(26, row * 0.72);
    const now = study.summary.now - study.summary.created;
    const marks: Mark[] = [];
    s.clip(f.left, 0, f.width, h, () => {
      segments.trial.forEach((trial, i) => {
        const how = segments.how[i];
        const [a, b] = [segments.begin[i]!, segments.end[i] ?? now];
        if (b < from || a > to) return;
        const y = f.top + row * (segments.worker[i] + 0.5);
        const [xa, xb] = [f.x(Math.max(a, from)), f.x(Math.min(b, to))];
        const kind = how || "running";
        const colour = theme.states[kind] ?? (kind === "lost" || kind === "hung" || kind === "out of memory" ? theme.bad : theme.states.queued);
        s.rect(xa, y - thick / 2, Math.max(1, xb - xa - 0.6), thick, { fill: colour, alpha: 0.8 });
        if (["lost", "hung", "out of memory"].includes(kind)) cross(s, xb, y, 4, theme.bad);
        if (xb - xa > 26) s.text((xa + xb) / 2, y, String(trial), { fill: theme.paper, anchor: "middle", size: 10.5 });
        marks.push({ x: (xa + xb) / 2, y, trial, text: () => `trial ${trial}: ${kind}\nepochs ${segments.from[i] + 1} to ${segments.to[i]}\n${duration(a)} to ${segments.end[i] === null ? "now" : duration(b)}\n${workers[segments.worker[i]]}` });
      });
    });
    return marks;
  };
}
