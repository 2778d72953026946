// How the study stands: the best so far, the budget, what runs, what happened.
import { copied, searched, STATES } from "../data";
import { Card, Meter, Prune, Select, Toggle, useSteers } from "../parts";
import { Picture, Tabled } from "../picture";
import { budgetOf, burn, course, type Spent, timeLeft } from "../pictures/budget";
import { counts } from "../pictures/draw";
import { front } from "../pictures/objectives";
import { best, bestByTrial } from "../pictures/progress";
import { link, put } from "../route";
import { cut, duration, many, number, when } from "../words";
import { Feed } from "./feed";
import { State } from "./trials-table";
import { open, useChronicle, type View } from "./view";

const ENDED = STATES.indexOf("completed"); // and all after it

export function Overview({ view }: { view: View }) {
  const { study, query, kept } = view;
  const { summary, columns } = study;
  const chronicle = useChronicle(study);
  const steers = useSteers();
  const x = query.get("x") ?? "trials";
  const log = query.get("log") === "1";
  const { metric, direction } = summary.objectives[0];
  const steps = bestByTrial(study);
  const last = steps.at(-1);
  const budget = budgetOf(summary);
  const left = timeLeft(study, chronicle);
  const asked = query.get("spent");
  const spent: Spent = asked === "trials" || asked === "epochs" ? asked : budget.epochs === null && budget.trials !== null ? "trials" : "epochs";
  // Not the last sign, which a note or a changed budget gives as well: what the picture's axis ends at.
  const took = chronicle ? course(chronicle, spent).seconds.at(-1) : undefined;
  const over = columns.state.filter((state, i) => state >= ENDED && columns.repeats[i] < 0 && columns.parent[i] < 0).length;
  const running = Array.from({ length: study.count }, (_, i) => i).filter((i) => STATES[columns.state[i]] === "running");
  const after = last ? columns.repeats.filter((repeats, i) => i > last.trial && repeats < 0).length : 0;
  const sentence = last
    ? `The best ${metric} so far is ${number(last.value, 5)}, of trial ${last.trial}` +
      (after ? `; the ${many(after, "trial")} after it found none better.` : ".")
    : summary.best === null ? "No trial has a finite value yet." : "No trial keeps the constraints yet.";
  const table = () => ({
    head: ["trial", "state", metric, "best so far"],
    rows: (() => {
      let best: number | null = null;
      return columns.value.map((v, i) => {
        if (counts(study, i) && (best === null || (direction === "maximize" ? v! > best : v! < best))) best = v;
        return [i, STATES[columns.state[i]], v, best];
      });
    })(),
  });
  return (
    <>
      <div class="cards">
        <Card title="Best" kind={summary.best === null ? "plain" : summary.best_breaks ? "warn" : "good"}>
          <p class="large">{number(summary.best, 5)}</p>
          <p>
            {summary.best_trial === null ? "nothing finite yet" : <a href={link("/trial", { name: summary.name, n: summary.best_trial })}>trial {summary.best_trial}</a>}
          </p>
          {summary.best_breaks && <p class="dim">breaks {summary.best_breaks}, as all others do; it comes closest</p>}
        </Card>
        <Card title="Budget">
          <Meter label="trials" value={searched(summary)} most={budget.trials} />
          <Meter label="epochs" value={summary.epochs} most={budget.epochs} />
          {summary.repetitions > 0 && <p class="dim">and {many(summary.repetitions, "repetition")} of finalists, which only count as epochs</p>}
          {summary.copies > 0 && <p class="dim">and {copied(summary)}, which only count as epochs</p>}
          {summary.until !== null && <p class="dim">until {when(summary.until)}</p>}
          {left !== null && (
            <p class="dim">
              {left.by === "clock" ? `${duration(left.seconds)} left by the clock` : `at this pace ${duration(left.seconds)} left, until the ${left.by} are spent`}
              {summary.state === "running" ? "" : ", once it goes on"}
            </p>
          )}
        </Card>
        <Card title="Trials" kind={summary.counts.failed ? "bad" : summary.counts.diverged ? "warn" : "plain"}>
          <p class="counts">
            {Object.entries(summary.counts).map(([s, n]) => <span><State state={s} /> {n}</span>)}
          </p>
          {Object.entries(summary.returns).map(([cause, n]) => <p class="dim">{n} put back in the queue: {cause}</p>)}
        </Card>
        <Card title="How">
          <p class="dim">{summary.searcher} search, {summary.scheduler === "None" ? "no scheduler" : `scheduler ${summary.scheduler}`}, seed {summary.seed}</p>
          {summary.plan && <p class="dim">plan: {summary.plan.word}{summary.plan.trials} trials{summary.plan.epochs === null ? "" : `, ${summary.plan.epochs} epochs`}</p>}
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
          draw={best(study, x, chronicle, log, kept)}
          redraw={[study.version, x, log, kept, chronicle]}
          onTrial={open(study)}
        />
        {summary.objectives.length > 1 && <Front view={view} />}
        <Picture
          title="Budget spent"
          sentence={
            (spent === "epochs" ? many(summary.epochs, "epoch") : `${many(over, "trial")} ended`) +
            (took === undefined ? "" : ` in ${duration(took)}`) +
            (budget[spent] ? `, of ${budget[spent]} planned.` : budget.epochs || budget.trials || summary.until !== null ? "." : "; no end is planned.")
          }
          height={300}
          controls={<Select label="in" value={spent} options={["epochs", "trials"]} onChange={(v) => put({ spent: v })} />}
          table={() => ({
            head: ["seconds", spent],
            rows: spent === "epochs" ? (chronicle?.burn.seconds ?? []).map((t, i) => [t, chronicle!.burn.epochs[i]]) : (chronicle?.finished.seconds ?? []).map((t, i) => [t, chronicle!.finished.trials[i]]),
          })}
          draw={burn(study, chronicle, spent)}
          redraw={[study.version, chronicle, spent]}
        />
        <Tabled
          title="Running trials"
          table={{ head: ["trial", "epoch", "of", metric, "worker"], rows: running.map((i) => [i, columns.step[i], columns.to_step[i], columns.value[i], columns.worker[i]]) }}
        >
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
        </Tabled>
        <Feed study={study} chronicle={chronicle} />
      </div>
    </>
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
      sentence={
        `${many(study.summary.front.length, "trial")} that no other one beats in every objective` +
        (study.columns.violation.some((v) => v) ? "; red: trials that break a constraint." : ".")
      }
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
      draw={front(study, px, py, kept)}
      redraw={[study.version, px, py, kept]}
      onTrial={open(study)}
    />
  );
}
