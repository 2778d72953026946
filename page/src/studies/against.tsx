// Whole studies side by side: how each came to its best, what it found, where and how it searched.
import { useState } from "preact/hooks";
import { beside, type Line, searched, useAnswer, useLive, usePaused } from "../data";
import { Select, Toggle } from "../parts";
import { Picture, short, Tabled } from "../picture";
import type { Draw } from "../pictures/draw";
import { type Entry, frame, key, type Mark, nothing } from "../plot";
import { link, namesFrom, put } from "../route";
import { counted, scaled, timed } from "../scales";
import { State } from "../study/trials-table";
import { cut, duration, many, number } from "../words";

interface Against extends Line {
  metric: string;
  direction: string;
  progress: { trials: number[]; epochs: number[]; seconds: (number | null)[]; values: (number | null)[]; numbers: number[] };
  settings: Record<string, string>;
  configuration: Record<string, string>;
  space: Record<string, string>;
}

type By = "trials" | "epochs" | "seconds";
const LABELS: Record<By, string> = { trials: "trials that ended", epochs: "epochs trained by them", seconds: "seconds since the first trial began" };

function racePicture(studies: Against[], all: Against[], by: By, log: boolean): Draw {
  return (s, w, h, theme) => {
    const told = studies.filter((one) => one.progress.values.some((v) => v !== null));
    if (!told.length) return nothing(s, w, h, theme, "No trial has ended with a finite value yet.");
    const values = told.flatMap((one) => one.progress.values).filter((v) => v !== null) as number[];
    let [low, high] = [Math.min(...values), Math.max(...values)];
    // The first trials of a search may be anything: the picture is of what came after.
    const finals = told.map((one) => one.progress.values.at(-1)!);
    const middle = [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
    const reach = 4 * Math.max(Math.abs(middle - Math.min(...finals)), Math.abs(middle - Math.max(...finals)));
    if (reach > 0 && Number.isFinite(reach)) [low, high] = [Math.max(low, middle - reach), Math.min(high, middle + reach)];
    const logs = log && low > 0;
    const air = logs ? 0 : 0.04 * (high - low);
    const end = Math.max(1e-9, ...told.map((one) => (one.progress[by] as number[]).at(-1)!));
    const f = frame(s, w, h, theme, { x: by === "seconds" ? timed(0, end) : counted(0, Math.max(1, end)), y: scaled(logs ? "log" : "linear", low - air, high + air), xLabel: LABELS[by], yLabel: told[0].metric, top: 26 });
    const marks: Mark[] = [];
    s.clip(f.left, f.top - 2, f.width + 6, f.height + 4, () =>
      told.forEach((one) => {
        const colour = theme.series[all.indexOf(one) % theme.series.length];
        const line: number[] = [];
        const at = one.progress[by] as number[];
        at.forEach((x, i) => {
          const y = f.y(one.progress.values[i]!);
          if (i) line.push(f.x(x), line[line.length - 1]);
          line.push(f.x(x), y);
          if (y >= f.top - 2) marks.push({ x: f.x(x), y, text: `${cut(one.name, 60)}\n${one.metric} ${number(one.progress.values[i], 5)}, trial ${one.progress.numbers[i]}\nafter ${by === "seconds" ? duration(x) : `${x} ${by}`}` });
        });
        s.line(line, { stroke: colour, width: 2.2, dash: all.indexOf(one) >= theme.series.length ? [5, 3] : undefined });
        s.circle(line[line.length - 2], line[line.length - 1], 3.5, { fill: colour });
      }),
    );
    const room = Math.max(4, Math.floor(f.width / told.length / 6.4) - 4);
    key(s, theme, f.left + 4, 11, told.map((one): Entry => [cut(one.name, room), theme.series[all.indexOf(one) % theme.series.length]]));
    return marks;
  };
}

function plainRows(studies: Against[]): unknown[][] {
  const group = (of: (one: Against) => Record<string, string>) =>
    [...new Set(studies.flatMap((one) => Object.keys(of(one))))].map((k) => [k, ...studies.map((one) => of(one)[k])]);
  const row = (name: string, of: (one: Against) => unknown) => [name, ...studies.map(of)];
  return [
    row("state", (one) => one.state),
    row("objective", (one) => one.objective),
    row("best", (one) => one.best),
    row("best trial", (one) => one.best_trial),
    row("trials", searched),
    row("epochs", (one) => one.epochs),
    ...group((one) => one.settings),
    ...group((one) => one.configuration),
    ...group((one) => one.space),
    row("note", (one) => one.note),
  ];
}

export function CompareStudies({ query }: { query: URLSearchParams }) {
  const names = namesFrom(query.get("names"));
  const [seen, tell] = useState(0);
  useLive("", usePaused(), () => tell((n) => n + 1));
  const { answer, error } = useAnswer<{ studies: Against[]; wrong: string[] }>("against", { study: names }, seen, 2000);
  if (!names.length) return <main id="main"><h1>Compare studies</h1><p class="empty">Tick studies in the <a href="#/">list of studies</a>.</p></main>;
  if (error) return <main id="main"><p class="wrong" role="alert">{error}</p></main>;
  if (!answer) return <main id="main"><p class="wait">Reading the studies…</p></main>;
  const { studies } = answer;
  const by = (["trials", "epochs", "seconds"].find((x) => x === query.get("x")) ?? "trials") as By;
  const log = query.get("log") === "1";
  const first = studies[0];
  const alike = studies.filter((one) => one.metric === first.metric && one.direction === first.direction);
  const sign = first?.direction === "maximize" ? -1 : 1;
  const winner = alike.filter((one) => one.best !== null && !one.best_breaks).sort((a, b) => sign * (a.best! - b.best!))[0];
  const others = studies.length - alike.length;
  const sentence = (winner ? `The best ${first.metric} is ${number(winner.best, 5)}, of ${cut(winner.name, 60)}.` : alike.some((one) => one.best !== null) ? "None keeps its constraints yet." : "None has a finite value yet.") + (others ? ` ${many(others, "study").replace("studys", "studies")} with another objective ${others === 1 ? "is" : "are"} left out of the picture.` : "");
  const group = (title: string, of: (one: Against) => Record<string, string>) => {
    const keys = [...new Set(studies.flatMap((one) => Object.keys(of(one))))];
    const differ = (k: string) => new Set(studies.map((one) => of(one)[k])).size > 1;
    if (!keys.length) return null;
    return (
      <>
        <tr class="outcome"><th scope="rowgroup" colSpan={studies.length + 1}>{title}</th></tr>
        {[...keys.filter(differ), ...keys.filter((k) => !differ(k))].map((k) => (
          <tr class={differ(k) ? "differs" : "dim"}><th scope="row">{cut(k, 120)}</th>{studies.map((one) => <td class={short(of(one)[k])}>{of(one)[k] === undefined ? "–" : cut(of(one)[k], 160)}</td>)}</tr>
        ))}
      </>
    );
  };
  return (
    <main id="main" data-view="studies">
      <div class="title"><h1>Compare studies</h1><a class="button" href="#/">Choose others</a></div>
      {answer.wrong.map((text) => <p class="wrong" role="alert">{text}</p>)}
      {studies.length > 0 && (
        <>
          <Picture
            title="Best so far of each"
            sentence={sentence}
            height={340}
            controls={
              <>
                <Select label="over" value={by} options={["trials", "epochs", "seconds"]} onChange={(v) => put({ x: v === "trials" ? null : v })} />
                <Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />
              </>
            }
            table={() => ({ head: ["study", "trials", "epochs", "seconds", first.metric, "trial"], rows: alike.flatMap((one) => one.progress.values.map((v, i) => [one.name, one.progress.trials[i], one.progress.epochs[i], one.progress.seconds[i], v, one.progress.numbers[i]])) })}
            draw={racePicture(alike, studies, by, log)}
            redraw={[answer, by, log]}
          />
          <Tabled title="Side by side" table={{ head: ["", ...studies.map((one) => one.name)], rows: plainRows(studies) }}>
            <div class="table-holder" tabIndex={0} role="region" aria-label="Table of the studies side by side">
              <table class="compare">
                <thead>
                  <tr>
                    <th scope="col">study</th>
                    {studies.map((one, i) => <th scope="col"><span class={`swatch s${i % 10}`} /> <a href={link("/study", { name: one.name })} title={one.name}>{cut(one.name, 40)}</a></th>)}
                  </tr>
                </thead>
                <tbody>
                  <tr><th scope="row">state</th>{studies.map((one) => <td><State state={one.state} /></td>)}</tr>
                  <tr><th scope="row">objective</th>{studies.map((one) => <td>{cut(one.objective, 100)}</td>)}</tr>
                  <tr><th scope="row">best</th>{studies.map((one) => <td><strong>{number(one.best, 5)}</strong>{one.best_trial !== null && <> <a href={link("/trial", { name: one.name, n: one.best_trial })}>trial {one.best_trial}</a>{one.best_breaks && `, breaks ${one.best_breaks}`}</>}</td>)}</tr>
                  <tr><th scope="row">trials</th>{studies.map((one) => <td>{searched(one)}{one.max_trials ? ` of ${one.max_trials}` : ""}{beside(one)}{one.trials > 0 && ": "}{Object.entries(one.counts).map(([state, n]) => `${n} ${state}`).join(", ")}</td>)}</tr>
                  <tr><th scope="row">epochs</th>{studies.map((one) => <td>{one.epochs}{one.max_epochs ? ` of ${one.max_epochs}` : ""}</td>)}</tr>
                  {group("How it searched", (one) => one.settings)}
                  {group("Best configuration", (one) => one.configuration)}
                  {group("Space", (one) => one.space)}
                  <tr><th scope="row">note</th>{studies.map((one) => <td class="note">{one.note || "–"}</td>)}</tr>
                </tbody>
              </table>
            </div>
          </Tabled>
        </>
      )}
    </main>
  );
}
