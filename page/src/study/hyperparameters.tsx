// What matters, where the best lie, and what is expected elsewhere.
import { useAnswer } from "../data";
import { Select, Toggle } from "../parts";
import { Picture } from "../picture";
import { importance, type Importance, isolation, type Isolation, slice } from "../pictures/hyperparameter";
import { spaces } from "../pictures/space";
import type { Expected } from "../pictures/surrogate";
import { put } from "../route";
import { cut, number, share } from "../words";
import { ContourView } from "./contour";
import { open, type View } from "./view";

export interface Edges {
  rows: { name: string; side: string; edge: number; to: number | null; words: string; p: number }[];
  why_not?: string;
}

const SLICES = 12;
const SCALES = { linear: "linear", log: "log", one_minus_log: "log of 1 − x" };

export function Hyperparameters({ view }: { view: View }) {
  const { study, query, kept } = view;
  const { summary } = study;
  const log = query.get("log") === "1";
  const ended = summary.trials - (summary.counts.running ?? 0) - (summary.counts.queued ?? 0);
  const matters = useAnswer<Importance>("lesson", { study: summary.name, what: "importance" }, ended, 4000);
  const edges = useAnswer<Edges>("lesson", { study: summary.name, what: "boundary" }, ended, 4000);
  const order = matters.answer?.rows?.map((r) => r.name) ?? summary.space.map((h) => h.name);
  const isolated = query.get("iso") ?? order[0] ?? "";
  const alone = useAnswer<Isolation>("lesson", { study: summary.name, what: "isolation", name: isolated }, ended, 4000);
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
          draw={importance(matters.answer)}
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
        draw={spaces(study, crowded)}
        redraw={[study.version, edges.answer]}
      />
      {alone.answer && !alone.answer.why_not ? (
        <Picture
          title={`Isolated: ${cut(isolated, 40)}`}
          sentence={alone.answer.words}
          height={300}
          controls={<Select label="of" value={isolated} options={order} onChange={(v) => put({ iso: v })} />}
          table={() => ({ head: ["value", "median", "low", "high", "trials"], rows: alone.answer!.rows.map((r) => [r.label, r.median, r.low, r.high, r.trials]) })}
          draw={isolation(alone.answer, summary.objectives[0].direction)}
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
                sentence={h.kind === "choice" ? `${h.options!.length} options. Later trials are stronger; crosses diverged or failed.` : `${number(h.low)} to ${number(h.high)}, ${SCALES[h.scale ?? "linear"]} scale. Later trials are stronger; crosses diverged or failed.`}
                height={220}
                table={() => ({ head: ["trial", name, summary.objectives[0].metric], rows: (study.columns.hyperparameters[name] ?? []).map((v, i) => [i, h.kind === "choice" && v !== null ? h.options![v] : v, study.columns.value[i]]) })}
                draw={slice(study, h, log, kept, crowded.filter((c) => c.name === name), expected.answer?.rows?.find((r) => r.name === name))}
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
