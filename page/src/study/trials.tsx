// All trials: parallel coordinates and the table.
import { useMemo } from "preact/hooks";
import { Toggle } from "../parts";
import { put } from "../route";
import { brushesTo, selected } from "../selection";
import { cut } from "../words";
import { Parallel } from "./parallel";
import { TrialsTable } from "./trials-table";
import { open, type View } from "./view";

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
