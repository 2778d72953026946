// One trial in full, and several side by side.
import { useState } from "preact/hooks";
import { STATES, useAnswer, useStudy } from "./data";
import { Card, Copy, Prune, Said, Select, Toggle, useSteers, useWish } from "./parts";
import { Picture } from "./picture";
import type { Curves, CurveStyle } from "./pictures";
import { curvesPicture, stepsOf } from "./pictures";
import { go, link, put } from "./route";
import { State } from "./trials-table";
import { cut, duration, many, number, share, when } from "./words";

interface TrialPage {
  number: number;
  state: string;
  value: number | null;
  best_step: number;
  step: number;
  to_step: number | null;
  rank: number | null;
  of: number;
  configuration: { name: string; value: string; best: string | null }[];
  yaml: string;
  python: string;
  outcomes: Record<string, number | null>;
  curves: Curves;
  rivals: Curves;
  repeats: number;
  repetitions: Curves;
  parent: number;
  children: number[];
  start: number;
  bracket: number;
  stage: number;
  checkpoint: number;
  retries: Record<string, number>;
  why: string;
  kind: string;
  traceback: string;
  worker: string | null;
  began: number;
  ended: number | null;
  last_sign: number | null;
  seconds: number | null;
  note: string;
  note_who: string;
  diagnosis: { kind: string; evidence: string; action: string; confidence: number }[];
}

interface Trials {
  trials: TrialPage[];
  missing: number[];
}

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
        <Note study={name} trial={n} note={trial.note} who={trial.note_who} steers={steers} />
      </div>
      <div class="grid">
        <section class="picture" aria-label="Configuration">
          <div class="picture-head">
            <h2>Configuration</h2>
            <div class="exports">
              <Copy label="Copy Python" text={trial.python} />
              <Copy label="Copy YAML" text={trial.yaml} />
            </div>
          </div>
          <div class="table-holder" tabIndex={0} role="region" aria-label="Table of the configuration" style={{ maxHeight: "420px" }}>
            <table>
              <thead><tr><th scope="col">hyperparameter</th><th scope="col">value</th>{!isBest && <th scope="col">best trial</th>}</tr></thead>
              <tbody>
                {trial.configuration.map((row) => (
                  <tr class={row.best !== null && row.best !== row.value ? "differs" : ""}>
                    <th scope="row">{row.name}</th>
                    <td>{row.value}</td>
                    {!isBest && <td class="dim">{row.best === null ? "–" : row.best === row.value ? "same" : row.best}</td>}
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
      </div>
    </main>
  );
}

function Note({ study, trial, note, who, steers }: { study: string; trial?: number; note: string; who?: string; steers: boolean }) {
  const [text, set] = useState<string | null>(null);
  const { send, said } = useWish();
  const keep = async () => {
    if (await send({ study, action: "note", text: text ?? "", ...(trial === undefined ? {} : { trial }) })) set(null);
  };
  return (
    <Card title="Note">
      {text === null ? (
        <>
          <p class="note">{note || "–"}</p>
          {who && note && <p class="dim">by {who}</p>}
          {steers && <button type="button" onClick={() => set(note)}>{note ? "Change" : "Write one"}</button>}
        </>
      ) : (
        <>
          <textarea aria-label="Note" rows={3} value={text} onInput={(e) => set((e.target as HTMLTextAreaElement).value)} />
          <button type="button" class="main" onClick={keep}>Keep</button> <button type="button" onClick={() => set(null)}>Leave</button>
        </>
      )}
      <Said said={said} />
    </Card>
  );
}
export { Note };

function joined(parts: Curves[], metric: string): Curves {
  return {
    trials: parts.flatMap((p) => p.trials),
    steps: parts.flatMap((p) => p.steps),
    seconds: parts.flatMap((p) => p.seconds),
    values: { [metric]: parts.flatMap((p) => p.values[metric] ?? p.trials.map(() => [])) },
    of: 0,
  };
}

const flat = (curves: Curves, metrics: string[]) => ({
  head: ["trial", "epoch", ...metrics],
  rows: curves.trials.flatMap((t, i) => stepsOf(curves.steps[i]).map((step, k) => [t, step, ...metrics.map((m) => curves.values[m]?.[i]?.[k])])),
});

import { frame, nothing, type Mark } from "./plot";
import { scaled } from "./scales";
import type { Draw } from "./pictures";

function eachOnItsOwn(curves: Curves, metrics: string[]): Draw {
  return (s, w, h, theme) => {
    if (!curves.trials.length) return nothing(s, w, h, theme, "Nothing has been reported yet.");
    const steps = stepsOf(curves.steps[0]);
    const f = frame(s, w, h, theme, { x: scaled("linear", Math.min(1, steps[0]), Math.max(2, steps[steps.length - 1])), y: scaled("linear", 0, 1), xLabel: "epoch", left: 34, right: Math.min(190, w * 0.36), bare: true });
    const marks: Mark[] = [];
    const labels: { y: number; text: string; colour: string }[] = [];
    metrics.forEach((m, i) => {
      const values = curves.values[m][0];
      const finite = values.filter((v) => v !== null) as number[];
      if (!finite.length) return;
      const [low, high] = [Math.min(...finite), Math.max(...finite)];
      const y = (v: number) => f.top + f.height - ((v - low) / (high - low || 1)) * f.height * 0.96 - f.height * 0.02;
      const colour = theme.series[i % theme.series.length];
      s.line(values.flatMap((v, k) => [f.x(steps[k]), v === null ? NaN : y(v)]), { stroke: colour, width: 1.7, dash: i >= theme.series.length ? [4, 3] : undefined });
      values.forEach((v, k) => v !== null && marks.push({ x: f.x(steps[k]), y: y(v), text: `${m} ${number(v, 5)}\nepoch ${steps[k]}` }));
      labels.push({ y: y(finite[finite.length - 1]), text: `${cut(m, 16)} ${number(finite[finite.length - 1])}`, colour });
    });
    labels.sort((a, b) => a.y - b.y);
    labels.forEach((label, i) => {
      if (i) label.y = Math.max(label.y, labels[i - 1].y + 14);
    });
    for (let i = labels.length - 1, floor = f.top + f.height; i >= 0; i--, floor -= 14) labels[i].y = Math.min(labels[i].y, floor);
    labels.forEach((label) => s.text(f.left + f.width + 8, label.y, label.text, { fill: label.colour }));
    return marks;
  };
}

// -- side by side ---------------------------------------------------------------------------------------------

export function Compare({ name, query }: { name: string; query: URLSearchParams }) {
  const text = query.get("trials") ?? "";
  const { study, error } = useStudy(name);
  const { answer, error: wrong } = useAnswer<Trials>("trial", { study: name, trials: text || "0" }, study?.version ?? 0, 1500);
  const metric = query.get("m") ?? study?.summary.objectives[0].metric ?? "";
  const log = query.get("log") === "1";
  if (error || wrong) return <main id="main"><p class="wrong" role="alert">{error || wrong}</p></main>;
  if (!answer || !study) return <main id="main"><p class="wait">Reading the trials…</p></main>;
  const { trials, missing } = answer;
  const { summary } = study;
  const names = [...new Set(trials.flatMap((t) => t.configuration.map((c) => c.name)))];
  const value = (t: TrialPage, n: string) => t.configuration.find((c) => c.name === n)?.value ?? "–";
  const differ = (n: string) => new Set(trials.map((t) => value(t, n))).size > 1;
  const ordered = [...names.filter(differ), ...names.filter((n) => !differ(n))];
  const curves: Curves = {
    trials: trials.flatMap((t) => t.curves.trials),
    steps: trials.flatMap((t) => t.curves.steps),
    seconds: trials.flatMap((t) => t.curves.seconds),
    values: { [metric]: trials.filter((t) => t.curves.trials.length).map((t) => t.curves.values[metric]?.[0] ?? []) },
    of: trials.length,
  };
  const colourAt = (t: number) => trials.findIndex((one) => one.number === t);
  const outcomes = [...new Set(trials.flatMap((t) => Object.keys(t.outcomes)))];
  return (
    <main id="main">
      <div class="title">
        <h1>Compare trials</h1>
        <label class="field grow">
          <span>trials</span>
          <input type="text" value={text} aria-describedby="compare-help" onChange={(e) => put({ trials: (e.target as HTMLInputElement).value.replace(/[^\d,]/g, "") })} />
        </label>
        <span class="dim" id="compare-help">numbers with commas between</span>
      </div>
      {missing.length > 0 && <p class="said bad" role="status">There is no trial {missing.join(", ")}.</p>}
      <Picture
        title="Their curves"
        sentence={`${metric} of ${many(trials.length, "trial")}: ${trials.map((t) => t.number).join(", ")}.`}
        height={360}
        controls={
          <>
            <Select label="metric" value={metric} options={summary.metrics} onChange={(v) => put({ m: v })} />
            <Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />
          </>
        }
        table={() => flat(curves, [metric])}
        draw={curvesPicture(curves, [metric], {
          log, smooth: 0, x: "epochs", direction: summary.objectives.find((o) => o.metric === metric)?.direction ?? "",
          style: { colour: (t, theme) => theme.series[colourAt(t) % theme.series.length], width: () => 2, alpha: () => 0.95, front: () => 0, text: (t) => trials[colourAt(t)]?.state ?? "" },
        })}
        redraw={[answer, metric, log]}
        onTrial={(t) => go(link("/trial", { name, n: t }))}
      />
      <section class="picture" aria-label="Side by side">
        <div class="picture-head"><h2>Side by side</h2></div>
        <div class="table-holder" tabIndex={0} role="region" aria-label="Table of the trials side by side">
          <table class="compare">
            <thead>
              <tr>
                <th scope="col">hyperparameter</th>
                {trials.map((t, i) => (
                  <th scope="col"><span class={`swatch s${i % 10}`} /> <a href={link("/trial", { name, n: t.number })}>trial {t.number}</a></th>
                ))}
              </tr>
            </thead>
            <tbody>
              <tr><th scope="row">state</th>{trials.map((t) => <td><State state={t.state} /></td>)}</tr>
              {outcomes.map((m) => <tr class="outcome"><th scope="row">{m}</th>{trials.map((t) => <td>{number(t.outcomes[m], 5)}</td>)}</tr>)}
              <tr><th scope="row">epochs</th>{trials.map((t) => <td>{t.step}</td>)}</tr>
              {ordered.map((n) => (
                <tr class={differ(n) ? "differs" : "dim"}><th scope="row">{n}</th>{trials.map((t) => <td>{value(t, n)}</td>)}</tr>
              ))}
              <tr><th scope="row">note</th>{trials.map((t) => <td class="note">{t.note || "–"}</td>)}</tr>
            </tbody>
          </table>
        </div>
      </section>
    </main>
  );
}
