// One trial in full.
import { STATES, type Study, useAnswer, useStudy } from "../data";
import { Card, Copy, Prune, Select, Toggle, useSteers } from "../parts";
import { Csv, Picture, short, Tabled } from "../picture";
import type { Happening } from "../pictures/chronicle";
import { type Curves, curvesPicture, type CurveStyle, eachOnItsOwn, flat } from "../pictures/curves";
import { go, link, put } from "../route";
import { State } from "../study/trials-table";
import { brief, cut, duration, many, number, share, when } from "../words";
import type { TrialPage, Trials } from "./answer";
import { Note } from "./note";

const plain = (front: number): Omit<CurveStyle, "colour" | "text"> => ({ width: (t) => (t === front ? 2.6 : 1.4), alpha: (t) => (t === front ? 1 : 0.7), front: (t) => (t === front ? 1 : 0) });

export function TrialView({ name, query }: { name: string; query: URLSearchParams }) {
  const n = Number(query.get("n") ?? 0);
  const { study, error } = useStudy(name);
  const { answer, error: wrong } = useAnswer<Trials>("trial", { study: name, trials: String(n) }, study?.version ?? 0, 1000);
  const steers = useSteers();
  if (error || wrong) return <main id="main"><p class="wrong" role="alert">{error || wrong}</p></main>;
  if (!answer || !study) return <main id="main"><p class="wait">Reading trial {n}…</p></main>;
  const trial = answer.trials[0];
  if (!trial)
    return <main id="main"><h1>Trial {n}</h1><p class="empty">There is no trial {n} in {cut(name, 80)}: it has {many(study.count, "trial")}.</p></main>;
  const { summary } = study;
  const metric = summary.objectives[0].metric;
  const isBest = summary.best_trial === n;
  const log = query.get("log") === "1";
  const metrics = Object.keys(trial.curves.values);
  const to = (trial: number) => link("/trial", { name, n: trial });
  const direction = summary.objectives[0].direction;
  const rivals = joined([trial.curves, trial.rivals], metric);
  const seeds = joined([trial.curves, trial.repetitions], metric);
  const shown = query.get("tm") ?? "all";
  const running = !["completed", "stopped", "diverged", "failed"].includes(trial.state);
  return (
    <main id="main">
      <div class="title">
        <h1>Trial {n}</h1>
        <State state={trial.state} />
        <nav class="steps" aria-label="Other trials">
          {n > 0 && <a class="button" href={to(n - 1)}>‹ {n - 1}</a>}
          {n + 1 < study.count && <a class="button" href={to(n + 1)}>{n + 1} ›</a>}
          <label class="field">
            <span>trial</span>
            <input type="number" min={0} max={study.count - 1} value={n} onChange={(e) => go(to(Number((e.target as HTMLInputElement).value)))} />
          </label>
          {summary.best_trial !== null && summary.best_trial !== n && <a class="button" href={link("/compare", { name, trials: `${summary.best_trial},${n}` })}>Compare with the best</a>}
        </nav>
        {steers && running && <Prune study={name} trial={n} />}
      </div>
      <div class="cards">
        <Card title={cut(metric, 40)} kind={trial.rank === 1 ? "good" : "plain"}>
          <p class="large">{number(trial.value, 6)}</p>
          <p class="dim">{trial.rank ? `place ${trial.rank} of ${trial.of}` : "not ranked"}, at epoch {trial.best_step}</p>
          {Object.entries(trial.outcomes).filter(([m]) => m !== metric).map(([m, v]) => <p class="dim">{m} {number(v, 5)}</p>)}
        </Card>
        <Card title="Where it stands" kind={trial.state === "failed" || trial.state === "diverged" ? "bad" : "plain"}>
          <p>epoch {trial.step}{trial.to_step ? ` of ${trial.to_step}` : ""}, {duration(trial.seconds)} trained</p>
          {trial.why && <p>{trial.why}</p>}
          <p class="dim">began {when(trial.began)}{trial.ended ? `, ended ${when(trial.ended)}` : ""}</p>
          <p class="dim">{trial.checkpoint ? `checkpoint after epoch ${trial.checkpoint}` : "no checkpoint"}{trial.worker ? `, held by ${trial.worker}` : ""}</p>
          {Object.entries(trial.retries).map(([cause, count]) => <p class="dim">put back {count} × ({cause})</p>)}
        </Card>
        <Card title="Where it comes from">
          <p class="dim">bracket {trial.bracket}{trial.stage >= 0 ? `, stage ${trial.stage + 1}: ${summary.stages[trial.stage]?.name ?? ""}` : ""}</p>
          {trial.parent >= 0 && <p>goes on from <a href={to(trial.parent)}>trial {trial.parent}</a> after {trial.start} epochs</p>}
          {trial.children.length > 0 && <p>went on as {trial.children.map((c) => <a href={to(c)}>{c} </a>)}</p>}
          {trial.repeats >= 0 && <p>repeats <a href={to(trial.repeats)}>trial {trial.repeats}</a> on another seed</p>}
          {trial.repetitions.trials.length > 0 && <p>repeated on {many(trial.repetitions.trials.length, "seed")}: {trial.repetitions.trials.map((c) => <a href={to(c)}>{c} </a>)}</p>}
        </Card>
        <Note study={name} trial={n} note={trial.note} who={trial.note_who} time={trial.note_when} steers={steers} />
      </div>
      <div class="grid">
        <section class="picture" aria-label="Configuration">
          <div class="picture-head">
            <h2>Configuration</h2>
            <div class="exports">
              <Copy label="Copy Python" text={trial.python} />
              <Copy label="Copy YAML" text={trial.yaml} />
              <Csv title={`configuration of trial ${n}`} table={() => ({ head: ["hyperparameter", "value", "best trial"], rows: trial.configuration.map((row) => [row.name, row.value, row.best]) })} />
            </div>
          </div>
          <div class="table-holder" tabIndex={0} role="region" aria-label="Table of the configuration" style={{ maxHeight: "420px" }}>
            <table>
              <thead><tr><th scope="col">hyperparameter</th><th scope="col">value</th>{!isBest && <th scope="col">best trial</th>}</tr></thead>
              <tbody>
                {trial.configuration.map((row) => (
                  <tr class={row.best !== null && row.best !== row.value ? "differs" : ""}>
                    <th scope="row">{row.name}</th>
                    <td class={short(row.value)}>{row.value}</td>
                    {!isBest && <td class={`dim ${short(row.best)}`}>{row.best === null ? "–" : row.best === row.value ? "same" : brief(row.best)}</td>}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <details>
            <summary>As Python and YAML</summary>
            <pre tabIndex={0}>{trial.python}</pre>
            <pre tabIndex={0}>{trial.yaml}</pre>
          </details>
        </section>
        <Picture
          title={`Against its rivals`}
          sentence={trial.rivals.trials.length ? `${metric} of trial ${n} (thick) beside the best ${many(trial.rivals.trials.length, "other trial")}.` : `${metric} of trial ${n}; there is no other to compare with yet.`}
          height={320}
          controls={<Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />}
          table={() => flat(rivals, [metric])}
          draw={curvesPicture(rivals, [metric], {
            log, smooth: 0, x: "epochs", direction,
            style: { ...plain(n), colour: (t, theme) => (t === n ? theme.best : theme.states.stopped), text: (t) => (t < study.count ? STATES[study.columns.state[t]] : "") },
          })}
          redraw={[rivals, log, n]}
          onTrial={(t) => t !== n && go(to(t))}
        />
        {trial.repetitions.trials.length > 0 && (
          <Picture
            title="On other seeds"
            sentence={seedsSentence(trial, study, metric)}
            height={320}
            controls={<Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />}
            table={() => flat(seeds, [metric])}
            draw={curvesPicture(seeds, [metric], {
              log, smooth: 0, x: "epochs", direction,
              style: { ...plain(n), colour: (t, theme) => (t === n ? theme.best : theme.accent), text: (t) => (t === n ? "in the search" : "on another seed") },
            })}
            redraw={[seeds, log, n]}
            onTrial={(t) => t !== n && go(to(t))}
          />
        )}
        {metrics.length > 1 && (
          <Picture
            title="All that it reported"
            sentence={`${metrics.length} metrics over ${many(trial.step - trial.start, "epoch")}.`}
            height={320}
            controls={<Select label="metric" value={shown} options={[["all", "all, each on its own scale"], ...metrics.map((m): [string, string] => [m, m])]} onChange={(v) => put({ tm: v === "all" ? null : v })} />}
            table={() => flat(trial.curves, metrics)}
            draw={shown !== "all" && metrics.includes(shown) ? curvesPicture(trial.curves, [shown], { log, smooth: 0, x: "epochs", direction: "", style: { ...plain(n), colour: (_, theme) => theme.accent, text: () => "" } }) : eachOnItsOwn(trial.curves, metrics)}
            redraw={[trial, shown, log]}
          />
        )}
        <section class="picture" aria-label="Diagnosis">
          <div class="picture-head"><h2>Diagnosis</h2></div>
          {trial.diagnosis.length === 0 ? <p class="caption">{trial.step ? "It looks healthy." : "It has not reported anything yet."}</p> : trial.diagnosis.map((f) => (
            <div class="finding"><p><strong>{f.kind}</strong> ({share(f.confidence)}): {f.evidence}. {f.action}.</p></div>
          ))}
          {trial.traceback && (
            <>
              <h3>Traceback</h3>
              <pre tabIndex={0} class="traceback">{trial.traceback}</pre>
            </>
          )}
        </section>
        <TrialLog study={study} n={n} />
      </div>
    </main>
  );
}

function seedsSentence(trial: TrialPage, study: Study, metric: string): string {
  const values = trial.repetitions.trials.map((t) => study.columns.value[t]).filter((v) => v !== null && v !== undefined) as number[];
  const told = `Trained again on ${many(trial.repetitions.trials.length, "seed")}`;
  if (!values.length) return `${told}: none has a finite value yet.`;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return `${told}: ${metric} ${number(mean, 5)} in the mean, ${number(Math.min(...values), 5)} to ${number(Math.max(...values), 5)}; the search had found ${number(trial.value, 5)} (thick).`;
}

// What the log says of the trial, the newest first.
function TrialLog({ study, n }: { study: Study; n: number }) {
  const { answer, error } = useAnswer<{ rows: Happening[]; hidden: number }>("trial-log", { study: study.summary.name, trial: String(n) }, study.version, 2000);
  const rows = answer?.rows ?? [];
  const { created } = study.summary;
  return (
    <Tabled title="Log" table={{ head: ["seconds", "when", "kind", "what", "who"], rows: rows.map((e) => [e.time, new Date((created + e.time) * 1000).toISOString(), e.kind, e.text, e.who]) }}>
      {error && <p class="wrong" role="alert">{error}</p>}
      {!answer && !error && <p class="caption">Reading the whole log…</p>}
      <ul class="feed" tabIndex={0} aria-label={`What happened to trial ${n}`}>
        {rows.map((e) => (
          <li class={e.kind}>
            <time dateTime={new Date((created + e.time) * 1000).toISOString()} title={when(created + e.time)}>{duration(e.time)}</time> {e.text}
            {e.who && <span class="dim"> by {e.who}</span>}
          </li>
        ))}
      </ul>
      {answer && <p class="caption">{answer.hidden ? `${many(answer.hidden, "earlier event")} left out. ` : ""}Times are since the study began.</p>}
    </Tabled>
  );
}

function joined(parts: Curves[], metric: string): Curves {
  return {
    trials: parts.flatMap((p) => p.trials),
    steps: parts.flatMap((p) => p.steps),
    seconds: parts.flatMap((p) => p.seconds),
    values: { [metric]: parts.flatMap((p) => p.values[metric] ?? p.trials.map(() => [])) },
    of: 0,
  };
}
