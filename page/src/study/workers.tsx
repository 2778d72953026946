// Who trained what and when.
import { Select } from "../parts";
import { Picture, PlainTable } from "../picture";
import { timeline } from "../pictures/timeline";
import { put } from "../route";
import { duration, many, share } from "../words";
import { open, useChronicle, type View } from "./view";

export function Workers({ view }: { view: View }) {
  const { study, query } = view;
  const chronicle = useChronicle(study);
  if (!chronicle) return <p class="wait">Reading the whole log…</p>;
  const { segments, workers } = chronicle;
  const now = study.summary.now - study.summary.created;
  const ends = segments.end.map((e) => e ?? now) as number[];
  const last = ends.reduce((a, b) => Math.max(a, b), 0);
  const first = segments.begin.reduce((a: number, b) => Math.min(a, b ?? 0), last);
  const span = query.get("span") ?? "all";
  const from = span === "all" ? first : Math.max(first, last - Number(span));
  const rows = workers.map((w, i) => {
    const own = segments.worker.map((_, k) => k).filter((k) => segments.worker[k] === i);
    const busy = own.reduce((sum, k) => sum + ends[k] - segments.begin[k]!, 0);
    const whole = own.length ? Math.max(...own.map((k) => ends[k])) - Math.min(...own.map((k) => segments.begin[k]!)) : 0;
    const lost = own.filter((k) => ["lost", "hung", "out of memory"].includes(segments.how[k])).length;
    const holds = own.filter((k) => segments.end[k] === null).map((k) => segments.trial[k]);
    return [w, own.length, duration(busy), whole > 0 ? share(Math.min(1, busy / whole)) : "–", lost, holds.join(", ") || "–"];
  });
  const busy = segments.trial.reduce((sum, _, k) => sum + ends[k] - segments.begin[k]!, 0);
  return (
    <>
      <Picture
        title="Timeline of workers"
        sentence={
          `${many(workers.length, "worker")}, busy ${duration(busy)} in all` +
          (chronicle.hidden ? `; the newest ${segments.trial.length} jobs are shown.` : ". Gaps are idle time; a cross is a worker that was lost.")
        }
        height={Math.min(640, 80 + 34 * Math.max(1, workers.length))}
        controls={<Select label="show" value={span} options={[["all", "everything"], ["600", "last 10 min"], ["3600", "last hour"], ["86400", "last day"]]} onChange={(v) => put({ span: v === "all" ? null : v })} />}
        table={() => ({ head: ["trial", "worker", "begin", "end", "from epoch", "to epoch", "how it ended"], rows: segments.trial.map((t, i) => [t, workers[segments.worker[i]], segments.begin[i], segments.end[i], segments.from[i], segments.to[i], segments.how[i] || "running"]) })}
        draw={timeline(chronicle, study, from, Math.max(last, from + 1e-3))}
        redraw={[study.version, chronicle, span]}
        onTrial={open(study)}
      />
      <section class="picture" aria-label="Workers">
        <div class="picture-head"><h2>Workers</h2></div>
        <PlainTable label="Workers" height={400} table={{ head: ["worker", "jobs", "busy", "of its life", "lost", "holds trial"], rows }} />
      </section>
    </>
  );
}
