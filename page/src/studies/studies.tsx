// The list of studies.
import { useState } from "preact/hooks";
import { beside, type Line, searched, useAnswer, useLive, usePaused } from "../data";
import { Spark } from "../parts";
import { link, namesFrom, put, useRoute } from "../route";
import { State } from "../study/trials-table";
import { csv, duration, many, number, save } from "../words";

export function Studies() {
  const [seen, tell] = useState(0);
  const paused = usePaused();
  const chosen = namesFrom(useRoute().query.get("names"));
  const choose = (name: string) => {
    const next = chosen.includes(name) ? chosen.filter((n) => n !== name) : [...chosen, name];
    put({ names: next.length ? JSON.stringify(next) : null });
  };
  useLive("", paused, () => tell((n) => n + 1));
  const { answer, error } = useAnswer<{ studies: Line[]; wrong: string[] }>("studies", {}, seen, 1000);
  if (error) return <main id="main"><p class="wrong" role="alert">{error}</p></main>;
  if (!answer) return <main id="main"><p class="wait">Reading the studies…</p></main>;
  const now = Date.now() / 1000;
  const write = () =>
    save(
      "studies.csv",
      new Blob([csv(["name", "objective", "state", "best", "best_trial", "trials", "epochs", "note"], answer.studies.map((l) => [l.name, l.objective, l.state, l.best, l.best_trial, l.trials, l.epochs, l.note]))], { type: "text/csv" }),
    );
  return (
    <main id="main">
      <div class="picture-head">
        <h1>Studies</h1>
        {chosen.length > 1 && (
          <a class="button" href={link("/studies", { names: JSON.stringify(chosen) })}>Compare {chosen.length}</a>
        )}
        {answer.studies.length > 1 && chosen.length < 2 && <span class="dim">tick two or more to compare them</span>}
        <div class="exports">
          <button type="button" onClick={write}>CSV</button>
        </div>
      </div>
      {answer.wrong.map((text) => <p class="wrong" role="alert">{text}</p>)}
      {!answer.studies.length && (
        <p class="empty">
          No study yet. The first <code>luthier.tune(...)</code> that writes to this storage shows up here by itself.
        </p>
      )}
      <div class="studies">
        {answer.studies.map((l) => (
          <article class="study-line" key={l.name} data-study={l.name}>
            <div class="line-head">
              <h2>
                <a href={link("/study", { name: l.name })} title={l.name}>{l.name}</a>
              </h2>
              <input type="checkbox" checked={chosen.includes(l.name)} aria-label={`Compare ${l.name}`} onChange={() => choose(l.name)} />
            </div>
            <p class="line-state">
              <State state={l.state} />
              {l.stage && <span class="dim">stage: {l.stage}</span>}
            </p>
            <p class="objective" title={l.objective}>{l.objective}</p>
            <p class="best-value">
              <strong>{number(l.best, 5)}</strong>
              {l.best_trial !== null && <span class="dim"> trial {l.best_trial}{l.best_breaks && `, breaks ${l.best_breaks}`}</span>}
            </p>
            <Spark values={l.spark} label={`Best so far of ${l.name}`} />
            <p class="counts">
              {Object.entries(l.counts).map(([state, count]) => (
                <span><State state={state} /> {count}</span>
              ))}
            </p>
            <p class="dim">
              {l.max_trials ? `${searched(l)} of ${many(l.max_trials, "trial")}` : many(searched(l), "trial")}
              {beside(l)}, {l.max_epochs ? `${l.epochs} of ${many(l.max_epochs, "epoch")}` : many(l.epochs, "epoch")},
              last sign {duration(now - l.last_sign)} ago
            </p>
            {l.note && <p class="note">{l.note}</p>}
          </article>
        ))}
      </div>
    </main>
  );
}
