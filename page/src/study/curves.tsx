// The learning curves of the selected trials.
import { useMemo } from "preact/hooks";
import { STATES, useAnswer } from "../data";
import { Select, Toggle } from "../parts";
import { Picture } from "../picture";
import { type Curves, curvesPicture, type CurveStyle, stepsOf } from "../pictures/curves";
import { configurationText } from "../pictures/draw";
import { put } from "../route";
import { open, type View } from "./view";

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
  const { answer, error } = useAnswer<Curves>("curves", { study: summary.name, metric: metrics }, study.version, 1500);
  const shownCurves = useMemo(() => only(answer, kept), [answer, kept]);
  const direction = summary.objectives.find((o) => o.metric === metric)?.direction ?? "minimize";
  const best = summary.best_trial;
  const style: CurveStyle = {
    colour: (t, theme) => (t === best ? theme.best : theme.states[STATES[columns.state[t]]]),
    width: (t) => (t === best ? 2.8 : STATES[columns.state[t]] === "running" ? 1.9 : 1.2),
    alpha: (t) => (t === best ? 1 : { stopped: 0.4, queued: 0.5, paused: 0.6 }[STATES[columns.state[t]]] ?? 0.75),
    text: (t) => `${STATES[columns.state[t]]}\n${configurationText(study, t)}`,
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
            stepsOf(shownCurves!.steps[i]).map((step, k) => [t, step, ...metrics.map((m) => shownCurves!.values[m]?.[i]?.[k])]),
          ),
        })}
        draw={curvesPicture(shownCurves, metrics, { log, smooth, x, direction, style, rungs: rungs.length <= 8 ? rungs : [], parentOf: (t) => columns.parent[t] })}
        redraw={[shownCurves, log, smooth, x, metric, second, study.version]}
        onTrial={open(study)}
      />
    </>
  );
}

function only(curves: Curves | null, kept: Uint8Array): Curves | null {
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
