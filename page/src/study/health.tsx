// What ails the study, and what to do.
import { useAnswer } from "../data";
import { Card } from "../parts";
import { link } from "../route";
import { share } from "../words";
import type { Edges } from "./hyperparameters";
import type { View } from "./view";

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
