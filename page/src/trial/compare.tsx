// Trials side by side.
import { useAnswer, useStudy } from "../data";
import { Select, Toggle } from "../parts";
import { Picture, short, Tabled } from "../picture";
import { type Curves, curvesPicture, flat } from "../pictures/curves";
import { go, link, put } from "../route";
import { State } from "../study/trials-table";
import { brief, many, number } from "../words";
import type { TrialPage, Trials } from "./answer";

export function Compare({ name, query }: { name: string; query: URLSearchParams }) {
  const text = query.get("trials") ?? "";
  const { study, error } = useStudy(name);
  const { answer, error: wrong } = useAnswer<Trials>("trial", { study: name, trials: text || "0" }, study?.version ?? 0, 1500);
  const metric = query.get("m") ?? study?.summary.objectives[0].metric ?? "";
  const log = query.get("log") === "1";
  if (error || wrong) return <main id="main"><p class="wrong" role="alert">{error || wrong}</p></main>;
  if (!answer || !study) return <main id="main"><p class="wait">Reading the trials…</p></main>;
  const { trials, missing, hidden } = answer;
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
      {hidden > 0 && <p class="said" role="status">Only the first {trials.length} are shown; {many(hidden, "trial")} more would not fit side by side.</p>}
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
      <Tabled
        title="Side by side"
        table={{
          head: ["", ...trials.map((t) => `trial ${t.number}`)],
          rows: [
            ["state", ...trials.map((t) => t.state)],
            ...outcomes.map((m) => [m, ...trials.map((t) => t.outcomes[m])]),
            ["epochs", ...trials.map((t) => t.step)],
            ...ordered.map((n) => [n, ...trials.map((t) => value(t, n))]),
            ["note", ...trials.map((t) => t.note)],
          ],
        }}
      >
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
                <tr class={differ(n) ? "differs" : "dim"}><th scope="row">{n}</th>{trials.map((t) => <td class={short(value(t, n))} title={value(t, n)}>{brief(value(t, n))}</td>)}</tr>
              ))}
              <tr><th scope="row">note</th>{trials.map((t) => <td class="note">{t.note || "–"}</td>)}</tr>
            </tbody>
          </table>
        </div>
      </Tabled>
    </main>
  );
}
