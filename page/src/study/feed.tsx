// What happened, the newest first.
import type { Study } from "../data";
import type { Chronicle } from "../pictures/chronicle";
import { link } from "../route";
import { duration } from "../words";

export function Feed({ study, chronicle, kinds }: { study: Study; chronicle: Chronicle | null; kinds?: string[] }) {
  const rows = (chronicle?.feed ?? []).filter((e) => !kinds || kinds.includes(e.kind));
  return (
    <section class="picture" aria-label="What happened">
      <div class="picture-head"><h2>{kinds ? "Who steered" : "What happened"}</h2></div>
      {!chronicle && <p class="caption">Reading the whole log…</p>}
      {chronicle && !rows.length && <p class="caption">Nothing out of the ordinary.</p>}
      <ul class="feed" tabIndex={0} aria-label={kinds ? "Steering events" : "Events"}>
        {rows.slice(0, 80).map((e) => (
          <li class={e.kind}>
            <time dateTime={new Date((study.summary.created + e.time) * 1000).toISOString()}>{duration(e.time)}</time>{" "}
            {e.trial !== undefined && e.trial >= 0 ? <a href={link("/trial", { name: study.summary.name, n: e.trial })}>{e.text}</a> : e.text}
            {e.who && <span class="dim"> by {e.who}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
