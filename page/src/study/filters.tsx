// The selection, shared by all views of a study: states, a filter in words, brushes.
import { STATES } from "../data";
import { put } from "../route";
import { unknown } from "../selection";
import { cut, number } from "../words";
import type { View } from "./view";

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
