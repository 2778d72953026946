// What happened, the newest first.
import type { Study } from "../data";
import { Tabled } from "../picture";
import type { Chronicle, Happening } from "../pictures/chronicle";
import { link } from "../route";
import { duration, when } from "../words";

// With *kinds* only these, and each with its date: who did what, and when.
export function Feed({ study, chronicle, kinds }: { study: Study; chronicle: Chronicle | null; kinds?: string[] }) {
  const at = (e: Happening) => new Date((study.summary.created + e.time) * 1000);
  const rows = (chronicle?.feed ?? []).filter((e) => !kinds || kinds.includes(e.kind));
  return (
    <Tabled
      title={kinds ? "Who steered" : "What happened"}
      table={{ head: ["seconds", "when", "kind", "what", "who", "trial"], rows: rows.map((e) => [e.time, at(e).toISOString(), e.kind, e.text, e.who, e.trial]) }}
    >
      {!chronicle && <p class="caption">Reading the whole log…</p>}
      {chronicle && !rows.length && <p class="caption">Nothing out of the ordinary.</p>}
      <ul class="feed" tabIndex={0} aria-label={kinds ? "Steering events" : "Events"}>
        {rows.slice(0, 80).map((e) => (
          <li class={e.kind}>
            <time dateTime={at(e).toISOString()} title={when(study.summary.created + e.time)}>{kinds ? when(study.summary.created + e.time) : duration(e.time)}</time>{" "}
            {e.trial !== undefined && e.trial >= 0 ? <a href={link("/trial", { name: study.summary.name, n: e.trial })}>{e.text}</a> : e.text}
            {e.who && <span class="dim"> by {e.who}</span>}
          </li>
        ))}
      </ul>
    </Tabled>
  );
}
