// The views of one study, a tab each.
import { useMemo } from "preact/hooks";
import { STATES, type Study, useAnswer } from "./data";
import { Card, Meter, Prune, Select, Toggle, useSteers } from "./parts";
import { Parallel } from "./parallel";
import { Picture, PlainTable } from "./picture";
import * as pictures from "./pictures";
import { go, link, put } from "./route";
import { ContourView, type Expected } from "./surrogate";
import { type Brushes, brushesTo, selected, unknown } from "./selection";
import { State, TrialsTable } from "./trials-table";
import { cut, duration, many, number, share, when } from "./words";

export interface View {
  study: Study;
  query: URLSearchParams;
  kept: Uint8Array;
  brushes: Brushes;
  states: string[];
  filter: string;
}

const open = (study: Study) => (trial: number) => go(link("/trial", { name: study.summary.name, n: trial }));

export function useChronicle(study: Study) {
  return useAnswer<pictures.Chronicle>("chronicle", { study: study.summary.name }, study.version, 2000).answer;
}

// -- filters, shared by all views ------------------------------------------------------------------------

export function Filters({ view }: { view: View }) {
  const { study, states, filter, brushes } = view;
  const counts = study.summary.counts;
  const wrong = unknown(study, filter);
  const toggle = (state: string) =>
    put({ s: (states.includes(state) ? states.filter((s) => s !== state) : [...states, state]).join(",") });
  const active = states.length > 0 || filter !== "" || Object.keys(brushes).length > 0;
  return (
    <section class="filters" aria-label="Selection">
      {STATES.filter((s) => counts[s] || states.includes(s)).map((s) => (
        <button type="button" class={`chip ${s}`} aria-pressed={states.includes(s)} onClick={() => toggle(s)}>
          {s} {counts[s] ?? 0}
        </button>
      ))}
      <label class="field grow">
        <span class="hidden">Filter</span>
        <input
          id="filter"
          type="search"
          placeholder={`filter, such as ${cut(study.summary.objectives[0].metric, 20)}<0.3 state!=stopped`}
          value={filter}
          onInput={(e) => put({ f: (e.target as HTMLInputElement).value })}
        />
      </label>
      {active && (
        <button type="button" onClick={() => put({ s: null, f: null, b: null })}>
          Show all
        </button>
      )}
      {wrong.length > 0 && <p class="said bad" role="status">Nothing is called {wrong.join(", ")}.</p>}
      {Object.keys(brushes).length > 0 && (
        <p class="dim brushes" role="status">
          {Object.entries(brushes)
            .map(([name, b]) => `${name}: ${typeof b[0] === "number" ? `${number(b[0] as number)} to ${number(b[1] as number)}` : b.join(", ")}`)
            .join("; ")}
        </p>
      )}
    </section>
  );
}

// -- overview ----------------------------------------------------------------------------------------------

export function Overview({ view }: { view: View }) {
  const { study, query, kept } = view;
  const { summary, columns } = study;
  const chronicle = useChronicle(study);
  const steers = useSteers();
  const x = query.get("x") ?? "trials";
  const log = query.get("log") === "1";
  const { metric, direction } = summary.objectives[0];
  const steps = pictures.bestByTrial(study);
  const last = steps.at(-1);
  const budget = pictures.budgetOf(summary);
  const end = pictures.projected(chronicle, budget.epochs);
  const now = summary.now - summary.created;
  const running = Array.from({ length: study.count }, (_, i) => i).filter((i) => STATES[columns.state[i]] === "running");
  const sentence = last
    ? `The best ${metric} so far is ${number(last.value, 5)}, of trial ${last.trial}` +
      (study.count > last.trial + 1 ? `; the ${many(study.count - last.trial - 1, "trial")} after it found none better.` : ".")
    : "No trial has a finite value yet.";
  const table = () => ({
    head: ["trial", "state", metric, "best so far"],
    rows: (() => {
      let best: number | null = null;
      return columns.value.map((v, i) => {
        if (v !== null && columns.state[i] < 5 && (best === null || (direction === "maximize" ? v > best : v < best))) best = v;
        return [i, STATES[columns.state[i]], v, best];
      });
    })(),
  });
  return (
    <>
      <div class="cards">
        <Card title="Best" kind={summary.best === null ? "plain" : "good"}>
          <p class="large">{number(summary.best, 5)}</p>
          <p>
            {summary.best_trial === null ? "nothing finite yet" : <a href={link("/trial", { name: summary.name, n: summary.best_trial })}>trial {summary.best_trial}</a>}
          </p>
        </Card>
        <Card title="Budget">
          <Meter label="trials" value={summary.trials} most={budget.trials} />
          <Meter label="epochs" value={summary.epochs} most={budget.epochs} />
          {summary.until !== null && <p class="dim">until {when(summary.until)}</p>}
          {end !== null && end > now && <p class="dim">at this pace {duration(end - now)} left</p>}
        </Card>
        <Card title="Trials" kind={summary.counts.failed ? "bad" : summary.counts.diverged ? "warn" : "plain"}>
          <p class="counts">
            {Object.entries(summary.counts).map(([s, n]) => <span><State state={s} /> {n}</span>)}
          </p>
          {Object.entries(summary.returns).map(([cause, n]) => <p class="dim">{n} put back in the queue: {cause}</p>)}
        </Card>
        <Card title="How">
          <p class="dim">{summary.searcher} search, {summary.scheduler === "None" ? "no scheduler" : `scheduler ${summary.scheduler}`}, seed {summary.seed}</p>
          {summary.plan && <p class="dim">plan: {summary.plan.word}{summary.plan.trials} trials, {summary.plan.epochs} epochs</p>}
          {summary.queue.length > 0 && <p class="dim">next: {summary.queue.length} enqueued</p>}
        </Card>
      </div>
      <div class="grid">
        <Picture
          title="Best so far"
          sentence={sentence}
          height={300}
          controls={
            <>
              <Select label="over" value={x} options={["trials", "epochs", "seconds"]} onChange={(v) => put({ x: v === "trials" ? null : v })} />
              <Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />
            </>
          }
          table={table}
          draw={pictures.best(study, x, chronicle, log, kept)}
          redraw={[study.version, x, log, kept, chronicle]}
          onTrial={open(study)}
        />
        {summary.objectives.length > 1 && <Front view={view} />}
        <Picture
          title="Epochs spent"
          sentence={
            `${summary.epochs} epochs in ${duration(summary.last_sign - summary.created)}` +
            (budget.epochs ? ` of ${budget.epochs} planned.` : "; no end is planned.")
          }
          height={300}
          table={() => ({ head: ["seconds", "epochs"], rows: (chronicle?.burn.seconds ?? []).map((t, i) => [t, chronicle!.burn.epochs[i]]) })}
          draw={pictures.burn(study, chronicle)}
          redraw={[study.version, chronicle]}
        />
        <section class="picture" aria-label="Running trials">
          <div class="picture-head"><h2>Running trials</h2></div>
          {running.length === 0 ? (
            <p class="caption">None at the moment.</p>
          ) : (
            <div class="table-holder" tabIndex={0} role="region" aria-label="Table of the running trials">
              <table>
                <thead><tr><th scope="col">trial</th><th scope="col">epoch</th><th scope="col">{cut(metric, 24)}</th><th scope="col">worker</th>{steers && <th scope="col">steer</th>}</tr></thead>
                <tbody>
                  {running.slice(0, 50).map((i) => (
                    <tr key={i} data-running={i}>
                      <td><a href={link("/trial", { name: summary.name, n: i })}>{i}</a></td>
                      <td>{columns.step[i]}{columns.to_step[i] ? ` of ${columns.to_step[i]}` : ""}</td>
                      <td>{number(columns.value[i], 5)}</td>
                      <td class="dim">{columns.worker[i] ?? "–"}</td>
                      {steers && <td><Prune study={summary.name} trial={i} /></td>}
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </section>
        <Feed study={study} chronicle={chronicle} />
      </div>
    </>
  );
}

export function Feed({ study, chronicle, kinds }: { study: Study; chronicle: pictures.Chronicle | null; kinds?: string[] }) {
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

function Front({ view }: { view: View }) {
  const { study, query, kept } = view;
  const names = study.summary.objectives.map((o) => o.metric);
  const px = names.includes(query.get("px") ?? "") ? query.get("px")! : names[0];
  const py = names.includes(query.get("py") ?? "") ? query.get("py")! : names[1];
  return (
    <Picture
      title="Pareto front"
      sentence={`${many(study.summary.front.length, "trial")} that no other one beats in every objective.`}
      height={300}
      controls={
        names.length > 2 ? (
          <>
            <Select label="x" value={px} options={names} onChange={(v) => put({ px: v })} />
            <Select label="y" value={py} options={names} onChange={(v) => put({ py: v })} />
          </>
        ) : undefined
      }
      table={() => ({
        head: ["trial", ...names],
        rows: study.summary.front.map((i) => [i, study.columns.value[i], ...names.slice(1).map((n) => study.columns.values[n][i])]),
      })}
      draw={pictures.front(study, px, py, kept)}
      redraw={[study.version, px, py, kept]}
      onTrial={open(study)}
    />
  );
}

// -- trials: parallel coordinates and the table ------------------------------------------------------------------

const FIRST_AXES = 12;

export function Trials({ view }: { view: View }) {
  const { study, query, kept, brushes, states, filter } = view;
  const { summary, count } = study;
  const all = summary.space.map((h) => h.name);
  const asked = query.get("axes");
  const names = useMemo(() => {
    if (asked) {
      try {
        return (JSON.parse(asked) as string[]).filter((n) => all.includes(n));
      } catch {
        // a broken link shows the first axes
      }
    }
    return all.slice(0, FIRST_AXES);
  }, [asked, all.join("\n")]);
  const log = query.get("log") === "1";
  const chosen = (query.get("c") ?? "").split(",").filter(Boolean).map(Number).filter((n) => n < count);
  const put1 = (next: string[]) => put({ axes: next.length === Math.min(all.length, FIRST_AXES) && next.every((n, i) => n === all[i]) ? null : JSON.stringify(next) });
  return (
    <>
      <Parallel
        study={study}
        names={names}
        kept={kept}
        brushes={brushes}
        log={log}
        controls={
          <>
            <Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />
            <details class="menu">
              <summary>Axes ({names.length} of {all.length})</summary>
              <div class="menu-box">
                {all.map((n) => (
                  <Toggle label={cut(n, 40)} on={names.includes(n)} onChange={(on) => put1(on ? all.filter((m) => m === n || names.includes(m)) : names.filter((m) => m !== n))} />
                ))}
              </div>
            </details>
          </>
        }
        onBrush={(next) => put({ b: brushesTo(next) })}
        onDrag={(next) => selected(study, next, states, filter)}
        onTrial={open(study)}
      />
      <TrialsTable study={study} kept={kept} sort={query.get("sort") ?? ""} chosen={chosen} />
    </>
  );
}

// -- curves ---------------------------------------------------------------------------------------------------------

export function CurvesView({ view }: { view: View }) {
  const { study, query, kept } = view;
  const { summary, columns } = study;
  const main = summary.objectives[0].metric;
  const metric = query.get("m") ?? main;
  const second = query.get("m2") ?? "";
  const log = query.get("log") === "1";
  const smooth = Number(query.get("smooth") ?? 0);
  const x = query.get("cx") ?? "epochs";
  const metrics = second && second !== metric ? [metric, second] : [metric];
  const { answer, error } = useAnswer<pictures.Curves>("curves", { study: summary.name, metric: metrics }, study.version, 1500);
  const shownCurves = useMemo(() => only(answer, kept), [answer, kept]);
  const direction = summary.objectives.find((o) => o.metric === metric)?.direction ?? "minimize";
  const best = summary.best_trial;
  const style: pictures.CurveStyle = {
    colour: (t, theme) => (t === best ? theme.best : theme.states[STATES[columns.state[t]]]),
    width: (t) => (t === best ? 2.8 : STATES[columns.state[t]] === "running" ? 1.9 : 1.2),
    alpha: (t) => (t === best ? 1 : { stopped: 0.4, queued: 0.5, paused: 0.6 }[STATES[columns.state[t]]] ?? 0.75),
    text: (t) => `${STATES[columns.state[t]]}\n${pictures.configurationText(study, t)}`,
    front: (t) => (t === best ? 3 : STATES[columns.state[t]] === "running" ? 2 : STATES[columns.state[t]] === "stopped" ? 0 : 1),
  };
  const drawn = shownCurves?.trials.length ?? 0;
  const sentence = answer
    ? `${drawn} of ${answer.of} curves${answer.of > drawn ? ": those under way, the best, and an even choice of the rest" : ""}. ` +
      "Stopped trials are grey and end where they were stopped; the best one is thick."
    : "Fetching the curves…";
  const rungs = [...new Set(Array.from({ length: study.count }, (_, i) => columns.to_step[i]).filter((v) => v !== null) as number[])];
  return (
    <>
      {error && <p class="wrong" role="alert">{error}</p>}
      <Picture
        title="Learning curves"
        sentence={sentence}
        height={460}
        controls={
          <>
            <Select label="metric" value={metric} options={summary.metrics} onChange={(v) => put({ m: v === main ? null : v })} />
            <Select label="and" value={second} options={[["", "–"], ...summary.metrics.map((m): [string, string] => [m, m])]} onChange={(v) => put({ m2: v })} />
            <Select label="over" value={x} options={["epochs", "seconds"]} onChange={(v) => put({ cx: v === "epochs" ? null : v })} />
            <Select label="smoothing" value={String(smooth)} options={[["0", "none"], ["0.5", "some"], ["0.8", "more"], ["0.95", "much"]]} onChange={(v) => put({ smooth: v === "0" ? null : v })} />
            <Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />
          </>
        }
        table={() => ({
          head: ["trial", "epoch", ...metrics],
          rows: (shownCurves?.trials ?? []).flatMap((t, i) =>
            pictures.stepsOf(shownCurves!.steps[i]).map((step, k) => [t, step, ...metrics.map((m) => shownCurves!.values[m]?.[i]?.[k])]),
          ),
        })}
        draw={pictures.curvesPicture(shownCurves, metrics, { log, smooth, x, direction, style, rungs: rungs.length <= 8 ? rungs : [] })}
        redraw={[shownCurves, log, smooth, x, metric, second, study.version]}
        onTrial={open(study)}
      />
    </>
  );
}

function only(curves: pictures.Curves | null, kept: Uint8Array): pictures.Curves | null {
  if (!curves || curves.trials.every((t) => kept[t])) return curves;
  const at = curves.trials.map((_, i) => i).filter((i) => kept[curves.trials[i]]);
  const pick = <T,>(row: T[]) => at.map((i) => row[i]);
  return {
    trials: pick(curves.trials),
    steps: pick(curves.steps),
    seconds: pick(curves.seconds),
    values: Object.fromEntries(Object.entries(curves.values).map(([m, v]) => [m, pick(v)])),
    of: curves.of,
  };
}

// -- rungs ----------------------------------------------------------------------------------------------------------

export function Rungs({ view }: { view: View }) {
  const { study, query } = view;
  const { answer, error } = useAnswer<pictures.Ladder>("ladder", { study: study.summary.name }, study.version, 2000);
  const log = query.get("log") === "1";
  if (error) return <p class="wrong" role="alert">{error}</p>;
  if (!answer) return <p class="wait">Climbing…</p>;
  if (!answer.brackets.length)
    return <p class="empty">No rungs: {answer.scheduler ? `the scheduler ${answer.scheduler}` : "this study"} has not sorted any trial out between epochs yet.</p>;
  const asked = Number(query.get("bracket") ?? answer.brackets[0].bracket);
  const bracket = answer.brackets.find((b) => b.bracket === asked) ?? answer.brackets[0];
  const spent = bracket.rungs.reduce((sum, r, i) => sum + r.arrived * (r.step - (bracket.rungs[i - 1]?.step ?? 0)), 0);
  const full = bracket.trials * bracket.rungs[bracket.rungs.length - 1].step;
  return (
    <>
      <Picture
        title="Rung ladder"
        sentence={
          `Bracket ${bracket.name}: ${many(bracket.trials, "trial")}, about ${spent} epochs in place of the ${full} ` +
          `that training all of them to the end takes. The broken line is the worst value with which a trial went on.`
        }
        height={440}
        minWidth={Math.min(900, bracket.rungs.length * 90 + 60)}
        controls={
          <>
            {answer.brackets.length > 1 && (
              <Select
                label="bracket"
                value={String(bracket.bracket)}
                options={answer.brackets.map((b): [string, string] => [String(b.bracket), `${b.name} (${b.rungs.map((r) => r.arrived).join(" › ")})`])}
                onChange={(v) => put({ bracket: v })}
              />
            )}
            <Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />
          </>
        }
        table={() => ({
          head: ["rung", "epoch", "trial", "value", "fate"],
          rows: bracket.rungs.flatMap((r, k) => r.trial.map((t, i) => [k + 1, r.step, t, r.value[i], r.fate[i]])),
        })}
        draw={pictures.ladder(bracket, study, log)}
        redraw={[answer, bracket.bracket, log]}
        onTrial={open(study)}
      />
      <section class="picture" aria-label="All brackets">
        <div class="picture-head"><h2>All brackets</h2></div>
        <PlainTable
          label="All brackets"
          height={340}
          table={{
            head: ["bracket", "rungs", "trials", "arrived at each rung"],
            rows: answer.brackets.map((b) => [b.name, b.rungs.map((r) => r.step).join(" › "), b.trials, b.rungs.map((r) => (r.planned ? `${r.arrived}/${r.planned}` : r.arrived)).join(" › ")]),
          }}
        />
        {answer.hidden > 0 && <p class="caption">{answer.hidden} earlier brackets are left out.</p>}
      </section>
    </>
  );
}

// -- hyperparameters ---------------------------------------------------------------------------------------------------

interface Edges {
  rows: { name: string; side: string; edge: number; to: number | null; words: string; p: number }[];
  why_not?: string;
}

const SLICES = 12;

export function Hyperparameters({ view }: { view: View }) {
  const { study, query, kept } = view;
  const { summary } = study;
  const log = query.get("log") === "1";
  const ended = summary.trials - (summary.counts.running ?? 0) - (summary.counts.queued ?? 0);
  const matters = useAnswer<pictures.Importance>("lesson", { study: summary.name, what: "importance" }, ended, 4000);
  const edges = useAnswer<Edges>("lesson", { study: summary.name, what: "boundary" }, ended, 4000);
  const order = matters.answer?.rows?.map((r) => r.name) ?? summary.space.map((h) => h.name);
  const isolated = query.get("iso") ?? order[0] ?? "";
  const alone = useAnswer<pictures.Isolation>("lesson", { study: summary.name, what: "isolation", name: isolated }, ended, 4000);
  const expected = useAnswer<{ rows: Expected[]; why_not?: string }>("lesson", { study: summary.name, what: "surrogate" }, ended, 4000);
  const all = query.get("slices") === "all";
  const sliced = [...order, ...summary.space.map((h) => h.name).filter((n) => !order.includes(n))].slice(0, all ? 200 : SLICES);
  const crowded = edges.answer?.rows ?? [];
  if (!summary.space.length) return <p class="empty">This study searches nothing: its space has no hyperparameter.</p>;
  const first = matters.answer?.rows?.[0];
  const around = expected.answer?.rows?.[0]?.around;
  return (
    <div class="grid">
      {matters.answer && !matters.answer.why_not ? (
        <Picture
          title="What matters"
          sentence={`${first!.name} decides the most, ${share(first!.share)} (${matters.answer.method === "fanova" ? "fANOVA: shares of the variance over the space" : "PED-ANOVA: what sets the best tenth apart"}; 90 % intervals).`}
          height={Math.min(560, 60 + 28 * Math.min(24, matters.answer.rows.length))}
          table={() => ({ head: ["hyperparameter", "share", "low", "high"], rows: matters.answer!.rows.map((r) => [r.name, r.share, r.low, r.high]) })}
          draw={pictures.importance(matters.answer)}
          redraw={[matters.answer]}
        />
      ) : (
        <WhyNot title="What matters" text={matters.answer?.why_not ?? matters.error} />
      )}
      <Picture
        title="The space, and where the best lie"
        sentence={
          crowded.length
            ? crowded.map((c) => c.words).join(". ") + "."
            : edges.answer?.why_not ?? "Grey: all trials; warm: the best tenth; the line: the best trial. No edge is crowded by the best trials."
        }
        height={Math.max(120, (summary.space.length > 14 ? 24 : 38) * summary.space.length)}
        table={() => ({ head: ["hyperparameter", "low", "high", "scale", "options"], rows: summary.space.map((h) => [h.name, h.low, h.high, h.scale, h.options?.join(" ")]) })}
        draw={pictures.spaces(study, crowded)}
        redraw={[study.version, edges.answer]}
      />
      {alone.answer && !alone.answer.why_not ? (
        <Picture
          title={`Isolated: ${cut(isolated, 40)}`}
          sentence={alone.answer.words}
          height={300}
          controls={<Select label="of" value={isolated} options={order} onChange={(v) => put({ iso: v })} />}
          table={() => ({ head: ["value", "median", "low", "high", "trials"], rows: alone.answer!.rows.map((r) => [r.label, r.median, r.low, r.high, r.trials]) })}
          draw={pictures.isolation(alone.answer, summary.objectives[0].direction)}
          redraw={[alone.answer]}
          onTrial={open(study)}
        />
      ) : (
        <WhyNot title={`Isolated: ${cut(isolated, 40)}`} text={alone.answer?.why_not ?? alone.error} controls={<Select label="of" value={isolated} options={order} onChange={(v) => put({ iso: v })} />} />
      )}
      {summary.space.length > 1 && <ContourView study={study} query={query} order={order} kept={kept} ended={ended} ready={!!matters.answer || !!matters.error} />}
      <section class="wide" aria-label="Slices">
        <div class="picture-head">
          <h2>Slices</h2>
          <div class="controls">
            <Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />
            {summary.space.length > SLICES && <Toggle label={`all ${summary.space.length}`} on={all} onChange={(on) => put({ slices: on ? "all" : null })} />}
          </div>
        </div>
        <p class="caption">
          {around === undefined
            ? (expected.answer?.why_not ?? "Computing… what a surrogate expects.")
            : `The line is what a Gaussian process expects with all else as in the best trial, in its interval of 90 %.`}
        </p>
        <div class="slices">
          {sliced.map((name) => {
            const h = summary.space.find((one) => one.name === name);
            if (!h) return null;
            return (
              <Picture
                key={name}
                level={3}
                title={cut(name, 60)}
                sentence={h.kind === "choice" ? `${h.options!.length} options. Later trials are stronger; crosses diverged or failed.` : `${number(h.low)} to ${number(h.high)}, ${h.scale} scale. Later trials are stronger; crosses diverged or failed.`}
                height={220}
                table={() => ({ head: ["trial", name, summary.objectives[0].metric], rows: (study.columns.hyperparameters[name] ?? []).map((v, i) => [i, h.kind === "choice" && v !== null ? h.options![v] : v, study.columns.value[i]]) })}
                draw={pictures.slice(study, h, log, kept, crowded.filter((c) => c.name === name), expected.answer?.rows?.find((r) => r.name === name))}
                redraw={[study.version, log, kept, edges.answer, expected.answer]}
                onTrial={open(study)}
              />
            );
          })}
        </div>
      </section>
    </div>
  );
}

function WhyNot({ title, text, controls }: { title: string; text: string; controls?: preact.ComponentChildren }) {
  return (
    <section class="picture" aria-label={title}>
      <div class="picture-head"><h2>{title}</h2><div class="controls">{controls}</div></div>
      <p class="caption">{text || "Computing…"}</p>
    </section>
  );
}

// -- diagnosis ------------------------------------------------------------------------------------------------------------

interface Diagnosis {
  length: string;
  diagnosed: number;
  healthy: number;
  findings: { kind: string; trials: number[]; count: number; of: number; top: number; of_top: number; action: string; words: string }[];
  top: { trial: number; findings: { kind: string; evidence: string; action: string; confidence: number }[] }[];
  why_not?: string;
}

interface Enough {
  words: string;
  stop: boolean;
  chance: number;
  why_not?: string;
}

export function Health({ view }: { view: View }) {
  const { study } = view;
  const { summary } = study;
  const name = summary.name;
  const ended = summary.trials - (summary.counts.running ?? 0) - (summary.counts.queued ?? 0);
  const { answer, error } = useAnswer<Diagnosis>("lesson", { study: name, what: "diagnosis" }, ended, 4000);
  const edges = useAnswer<Edges>("lesson", { study: name, what: "boundary" }, ended, 4000);
  const enough = useAnswer<Enough>("lesson", { study: name, what: "enough" }, ended, 4000);
  const trials = (numbers: number[]) =>
    numbers.slice(0, 12).map((t, i) => <>{i ? ", " : ""}<a href={link("/trial", { name, n: t })}>{t}</a></>);
  const bad = (summary.counts.diverged ?? 0) + (summary.counts.failed ?? 0);
  return (
    <>
      {error && <p class="wrong" role="alert">{error}</p>}
      <div class="cards">
        <Card title="Have we tried enough?" kind={enough.answer?.stop ? "good" : "plain"}>
          <p>{enough.answer?.why_not ?? enough.answer?.words ?? "Computing…"}</p>
        </Card>
        <Card title="Edges of the space" kind={edges.answer?.rows?.some((r) => r.to !== null) ? "warn" : "plain"}>
          {edges.answer?.rows?.length ? edges.answer.rows.map((r) => <p>{r.words}.</p>) : <p>{edges.answer?.why_not ?? (edges.answer ? "The best trials crowd no edge." : "Computing…")}</p>}
          <p><a href={link("/study", { name, tab: "hyperparameters" })}>See the space</a></p>
        </Card>
        <Card title="Training length">
          <p>{answer?.why_not ?? answer?.length ?? "Computing…"}</p>
        </Card>
        <Card title="Diverged or failed" kind={bad > summary.trials / 5 ? "bad" : bad ? "warn" : "good"}>
          <p>{bad ? `${bad} of ${summary.trials} trials: ${Object.entries(summary.failures).map(([k, n]) => `${n} ${k}`).join(", ")}.` : "None."}</p>
          {bad > 0 && <p><a href={link("/study", { name, tab: "trials", s: "diverged,failed" })}>Which ones</a></p>}
        </Card>
        {answer?.findings?.map((f) => (
          <Card title={f.kind} kind={f.top > f.of_top / 2 ? "bad" : "warn"}>
            <p>{f.top} of the {f.of_top} best trials, {f.count} of {f.of} in all.</p>
            <p><strong>To do:</strong> {f.action}.</p>
            <p class="dim">trials {trials(f.trials)}</p>
          </Card>
        ))}
        {answer && !answer.why_not && (
          <Card title="Healthy" kind="good"><p>{answer.healthy} of {answer.diagnosed} trials look healthy.</p></Card>
        )}
      </div>
      {answer?.top && answer.top.length > 0 && (
        <section class="picture" aria-label="The best trials one by one">
          <div class="picture-head"><h2>The best trials, one by one</h2></div>
          {answer.top.map((t) => (
            <div class="finding">
              <h3><a href={link("/trial", { name, n: t.trial })}>trial {t.trial}</a></h3>
              {t.findings.length === 0 ? <p class="dim">looks healthy</p> : t.findings.map((f) => <p><strong>{f.kind}</strong> ({share(f.confidence)}): {f.evidence}. {f.action}.</p>)}
            </div>
          ))}
        </section>
      )}
    </>
  );
}

// -- the story ---------------------------------------------------------------------------------------------------------------

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
        {summary.stages.map((st) => (
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
                draw={pictures.importance({ method: "", rows: Object.entries(st.effects).map(([n, e]) => ({ name: n, share: e.share, low: e.share, high: e.share })) })}
                redraw={[study.version]}
              />
            )}
            <p><strong>{st.words || "Still under way."}</strong></p>
            {st.dead.length > 0 && <p class="dim">fixed for good: {st.dead.join(", ")}</p>}
            {st.best >= 0 && <p><a href={link("/trial", { name, n: st.best })}>trial {st.best}</a> is where the next stage starts from.</p>}
          </li>
        ))}
      </ol>
      {summary.race && (
        <Picture
          title="Race of the finalists"
          sentence={summary.race.words[0]}
          height={320}
          table={() => ({ head: ["trial", "found in the search", "mean on new seeds", "low", "high", "seeds", "why"], rows: summary.race!.finalists.map((f) => [f.trial, f.found, f.mean, f.low, f.high, f.values.length, f.why]) })}
          draw={pictures.race(summary)}
          redraw={[study.version]}
          onTrial={open(study)}
        />
      )}
      {summary.race && summary.race.words.length > 1 && <ul class="caption">{summary.race.words.slice(1).map((w) => <li>{w}</li>)}</ul>}
      {summary.test_reads.length > 0 && (
        <section class="picture" aria-label="Looks at the test set">
          <div class="picture-head"><h2>Looks at the test set</h2></div>
          <PlainTable label="Looks at the test set" table={{ head: ["when", "trial", "who", "values"], rows: summary.test_reads.map((r) => [when(r.time), r.trial, r.who, Object.entries(r.values).map(([k, v]) => `${k} ${number(v)}`).join(", ")]) }} />
        </section>
      )}
    </>
  );
}

// -- workers -----------------------------------------------------------------------------------------------------------------

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
        draw={pictures.timeline(chronicle, study, from, Math.max(last, from + 1e-3))}
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
