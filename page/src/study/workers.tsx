// Who trained what and when.
import { Select } from "../parts";
import { Picture, Tabled } from "../picture";
import { livesOf, timeline, wasLost } from "../pictures/timeline";
import { put } from "../route";
import { duration, many, share } from "../words";
import { open, useChronicle, type View } from "./view";

const SPANS: [string, string][] = [["all", "everything"], ["600", "last 10 min"], ["3600", "last hour"], ["86400", "last day"]];

export function Workers({ view }: { view: View }) {
  const { study, query } = view;
  const chronicle = useChronicle(study);
  if (!chronicle) return <p class="wait">Reading the whole log…</p>;
  const { jobs, workers } = chronicle;
  const now = study.summary.now - study.summary.created;
  const ends = jobs.end.map((e) => e ?? now) as number[];
  const last = ends.reduce((a, b) => Math.max(a, b), 0);
  const first = jobs.begin.reduce((a: number, b) => Math.min(a, b ?? 0), last);
  const span = SPANS.some(([s]) => s === query.get("span")) ? query.get("span")! : "all";
  const from = span === "all" ? first : Math.max(first, last - Number(span));
  const lives = livesOf(chronicle, now);
  const lost = jobs.how.filter(wasLost).length;
  const again = jobs.again.filter(Boolean).length;
  const idle = lives.reduce((sum, l) => sum + Math.max(0, l.end - l.begin - l.busy), 0);
  const busy = lives.reduce((sum, l) => sum + l.busy, 0);
  const shown = livesOf(chronicle, now, from, last).length;
  const rows = lives.map((l) => {
    const whole = l.end - l.begin;
    return [
      workers[l.worker],
      l.jobs.length,
      duration(l.busy),
      duration(Math.max(0, whole - l.busy)),
      whole > 0 ? share(Math.min(1, l.busy / whole)) : "–",
      l.jobs.filter((k) => wasLost(jobs.how[k])).map((k) => jobs.how[k]).join(", ") || "–",
      l.jobs.filter((k) => jobs.again[k]).length || "–",
      l.jobs.filter((k) => jobs.end[k] === null).map((k) => jobs.trial[k]).join(", ") || "–",
    ];
  });
  return (
    <>
      <Picture
        title="Timeline of workers"
        sentence={
          `${many(workers.length, "worker")}, busy for ${duration(busy)}, idle for ${duration(idle)} between jobs; ` +
          `${lost ? many(lost, "job") + " lost with a worker" : "no worker was lost"}, ${again ? many(again, "job") + " tried again" : "nothing was tried again"}` +
          (chronicle.hidden || shown < workers.length ? `. Shown: the newest ${jobs.trial.length} jobs, ${many(shown, "worker")}.` : ".")
        }
        height={70 + Math.max(50, shown * (shown <= 16 ? 34 : 18))}
        controls={<Select label="show" value={span} options={SPANS} onChange={(v) => put({ span: v === "all" ? null : v })} />}
        table={() => ({
          head: ["trial", "worker", "begin", "end", "from epoch", "to epoch", "how it ended", "tried again after"],
          rows: jobs.trial.map((t, i) => [t, workers[jobs.worker[i]], jobs.begin[i], jobs.end[i], jobs.from[i], jobs.to[i], jobs.how[i] || "running", jobs.again[i]]),
        })}
        draw={timeline(chronicle, study, from, Math.max(last, from + 1e-3))}
        redraw={[study.version, chronicle, span]}
        onTrial={open(study)}
      />
      <Tabled title="Workers" height={400} table={{ head: ["worker", "jobs", "busy", "idle between jobs", "busy of its life", "lost", "tried again", "holds trial"], rows }} />
    </>
  );
}
