// The stages, the race of the finalists, and the looks at the test set.
import { Meter } from "../parts";
import { Picture, Tabled } from "../picture";
import { importance } from "../pictures/hyperparameter";
import { race } from "../pictures/race";
import { link } from "../route";
import { number, when } from "../words";
import { open, type View } from "./view";

export function Story({ view }: { view: View }) {
  const { study } = view;
  const { summary } = study;
  const name = summary.name;
  const metric = summary.objectives[0].metric;
  return (
    <>
      {!summary.stages.length && (
        <p class="empty">
          This study is not divided in stages. With <code>luthier.tune(..., staged=True)</code> it tunes in the order in which hyperparameters matter, and
          this page tells what each stage has shown.
        </p>
      )}
      <ol class="story">
        {summary.stages.map((st, i) => (
          <li class="picture">
            <h2>{st.name}</h2>
            <p class="dim">
              {st.hyperparameters.join(", ")}
              {st.live.length > 0 && `; ${st.live.join(", ")} varied along`}
            </p>
            <p>{st.reason}.</p>
            <Meter label="trials" value={st.trials} most={st.planned} />
            {Object.keys(st.narrowed).length > 0 && (
              <ul class="dim">
                {Object.entries(st.narrowed).map(([n, [a, b]]) => <li>{n} within {number(a)} to {number(b)}</li>)}
              </ul>
            )}
            {Object.keys(st.effects).length > 0 && (
              <Picture
                level={3}
                title={`What mattered in ${st.name}`}
                sentence="How much each of the stage's hyperparameters mattered, with the others where they are best."
                height={40 + 28 * Object.keys(st.effects).length}
                table={() => ({ head: ["hyperparameter", "share", `gain in ${metric}`, "low", "high"], rows: Object.entries(st.effects).map(([n, e]) => [n, e.share, e.gain, e.low, e.high]) })}
                draw={importance({ method: "", rows: Object.entries(st.effects).map(([n, e]) => ({ name: n, share: e.share, low: e.share, high: e.share })) })}
                redraw={[study.version]}
              />
            )}
            <p><strong>{st.words || "Still under way."}</strong></p>
            {st.dead.length > 0 && <p class="dim">fixed for good: {st.dead.join(", ")}</p>}
            {st.best >= 0 && <p><a href={link("/trial", { name, n: st.best })}>trial {st.best}</a> {i + 1 < summary.stages.length ? "is where the next stage started from." : "was the best when it ended."}</p>}
          </li>
        ))}
      </ol>
      {summary.race && (
        <Picture
          title="Race of the finalists"
          sentence={`${summary.race.words[0].charAt(0).toUpperCase()}${summary.race.words[0].slice(1)}.`}
          height={320}
          table={() => ({ head: ["trial", "found in the search", "mean on new seeds", "low", "high", "seeds", "why"], rows: summary.race!.finalists.map((f) => [f.trial, f.found, f.mean, f.low, f.high, f.values.length, f.why]) })}
          draw={race(summary)}
          redraw={[study.version]}
          onTrial={open(study)}
        />
      )}
      {summary.race && summary.race.words.length > 1 && <ul class="caption">{summary.race.words.slice(1).map((w) => <li>{w}</li>)}</ul>}
      {summary.test_reads.length > 0 && (
        <Tabled title="Looks at the test set" table={{ head: ["when", "trial", "who", "values"], rows: summary.test_reads.map((r) => [when(r.time), r.trial, r.who, Object.entries(r.values).map(([k, v]) => `${k} ${number(v)}`).join(", ")]) }} />
      )}
      {summary.notes.length > 0 && (
        <Tabled
          title="Notes"
          height={420}
          table={{ head: ["when", "about", "who", "note"], rows: [...summary.notes].sort((a, b) => b.time - a.time).map((n) => [when(n.time), n.trial < 0 ? "the study" : `trial ${n.trial}`, n.who, n.text]) }}
        />
      )}
    </>
  );
}
