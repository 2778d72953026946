// The trials that are selected, in a table of which only the rows in sight exist.
import { useMemo, useRef, useState } from "preact/hooks";
import { STATES, type Study } from "../data";
import { link, put } from "../route";
import { shown } from "../selection";
import { csv, cut, many, number, save } from "../words";

const ROW = 32;

interface Column {
  key: string;
  label: string;
  text(i: number): string;
  value(i: number): number | string | null;
  numeric: boolean;
}

export function columnsOf(study: Study): Column[] {
  const { summary, columns } = study;
  const objective = summary.objectives[0].metric;
  const numeric = (key: string, label: string, own: (number | null)[], digits = 5): Column => ({
    key,
    label,
    numeric: true,
    text: (i) => number(own[i], digits),
    value: (i) => own[i],
  });
  return [
    { key: "trial", label: "trial", numeric: true, text: String, value: (i) => i },
    { key: "state", label: "state", numeric: false, text: (i) => STATES[columns.state[i]], value: (i) => STATES[columns.state[i]] },
    numeric("value", objective, columns.value),
    ...Object.entries(columns.values).map(([name, own]) => numeric(name, name, own)),
    numeric("step", "epochs", columns.step),
    ...summary.space.map((h): Column => {
      const own = columns.hyperparameters[h.name] ?? [];
      return {
        key: h.name,
        label: h.short,
        numeric: h.kind !== "choice",
        text: (i) => (h.kind === "choice" ? shown(h, own[i]) : number(own[i])),
        value: (i) => (h.kind === "choice" ? (own[i] === null ? null : shown(h, own[i])) : own[i]),
      };
    }),
    numeric("seconds", "seconds", columns.seconds, 3),
    { key: "why", label: "why it ended", numeric: false, text: (i) => columns.reasons[columns.reason[i]], value: (i) => columns.reasons[columns.reason[i]] },
  ];
}

const longest = (c: Column): number => (c.key === "why" ? 60 : 30); // letters

interface Props {
  study: Study;
  kept: Uint8Array;
  sort: string;
  chosen: number[];
}

export function TrialsTable({ study, kept, sort, chosen }: Props) {
  const [top, setTop] = useState(0);
  const holder = useRef<HTMLDivElement>(null);
  const columns = useMemo(() => columnsOf(study), [study.version]);
  const down = sort.startsWith("-");
  const by = sort.replace(/^-/, "") || "value";
  const order = useMemo(() => {
    const rows: number[] = [];
    for (let i = 0; i < study.count; i++) if (kept[i]) rows.push(i);
    const column = columns.find((c) => c.key === by) ?? columns[0];
    const maximise = by === "value" && study.summary.objectives[0].direction === "maximize";
    const sign = down !== maximise ? -1 : 1;
    const values = new Map(rows.map((i) => [i, column.value(i)]));
    const spoilt = (i: number) => by === "value" && study.columns.state[i] >= 5;
    return rows.sort((a, b) => {
      const [x, y] = [values.get(a) ?? null, values.get(b) ?? null];
      if (spoilt(a) !== spoilt(b)) return spoilt(a) ? 1 : -1;
      if (x === null || y === null) return x === y ? a - b : x === null ? 1 : -1;
      return x < y ? -sign : x > y ? sign : a - b;
    });
  }, [study.version, kept, by, down, columns]);

  const visible = 14;
  const first = Math.max(0, Math.min(order.length - visible, Math.floor(top / ROW) - 4));
  const rows = order.slice(Math.max(0, first), first + visible + 8);
  const name = study.summary.name;
  const choose = (trial: number) => {
    const next = chosen.includes(trial) ? chosen.filter((t) => t !== trial) : [...chosen, trial].slice(-20);
    put({ c: next.join(",") });
  };
  const write = () =>
    save(
      `${name}-trials.csv`,
      new Blob(
        [csv(columns.map((c) => (c.key === "value" ? c.label : c.key)), order.map((i) => columns.map((c) => c.value(i))))],
        { type: "text/csv" },
      ),
    );
  const best = study.summary.best_trial;
  return (
    <section class="picture" aria-label="Trials">
      <div class="picture-head">
        <h2>Trials</h2>
        <div class="controls">
          {chosen.length > 1 ? (
            <a class="button" href={link("/compare", { name, trials: chosen.join(",") })}>
              Compare {chosen.length}
            </a>
          ) : (
            <span class="dim">tick two or more to compare them</span>
          )}
        </div>
        <div class="exports">
          <button type="button" onClick={write}>CSV</button>
        </div>
      </div>
      <div
        class="table-holder"
        ref={holder}
        tabIndex={0}
        role="region"
        aria-label="Table of the selected trials"
        style={{ maxHeight: `${visible * ROW + 40}px` }}
        onScroll={(e) => setTop((e.target as HTMLElement).scrollTop)}
      >
        <table class="virtual" aria-rowcount={order.length + 1}>
          <thead>
            <tr>
              <th scope="col"><span class="hidden">compare</span></th>
              {columns.map((c) => (
                <th scope="col" aria-sort={by === c.key ? (down ? "descending" : "ascending") : "none"} class={c.numeric ? "numeric" : ""}>
                  <button type="button" title={c.key} onClick={() => put({ sort: by === c.key && !down ? `-${c.key}` : c.key })}>
                    {cut(c.label, 22)}
                    {by === c.key ? (down ? " ▾" : " ▴") : ""}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {first > 0 && <tr aria-hidden="true" style={{ height: `${first * ROW}px` }}><td colSpan={columns.length + 1} /></tr>}
            {rows.map((i) => (
              <tr key={i} class={i === best ? "best" : ""} data-trial={i}>
                <td>
                  <input type="checkbox" checked={chosen.includes(i)} aria-label={`Compare trial ${i}`} onChange={() => choose(i)} />
                </td>
                {columns.map((c) => (
                  <td class={c.numeric ? "numeric" : ""}>
                    {c.key === "trial" ? (
                      <a href={link("/trial", { name, n: i })}>{i}</a>
                    ) : c.key === "state" ? (
                      <State state={c.text(i)} />
                    ) : (
                      <span title={c.text(i).length > longest(c) ? c.text(i) : undefined}>{cut(c.text(i), longest(c))}</span>
                    )}
                  </td>
                ))}
              </tr>
            ))}
            {first + rows.length < order.length && (
              <tr aria-hidden="true" style={{ height: `${(order.length - first - rows.length) * ROW}px` }}>
                <td colSpan={columns.length + 1} />
              </tr>
            )}
          </tbody>
        </table>
      </div>
      <p class="caption">
        {order.length === study.count ? `All ${many(study.count, "trial")}.` : `${order.length} of ${many(study.count, "trial")}.`}
      </p>
    </section>
  );
}

export function State({ state }: { state: string }) {
  return <span class={`state ${state.replace(/\W+/g, "-")}`}>{state}</span>;
}
