// One study: its views, a tab each.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { usePaused, useStudy } from "../data";
import { put } from "../route";
import { brushesFrom, selected } from "../selection";
import { cut, duration, when } from "../words";
import { CurvesView } from "./curves";
import { Filters } from "./filters";
import { Health } from "./health";
import { Hyperparameters } from "./hyperparameters";
import { Overview } from "./overview";
import { LearningRate } from "./rate";
import { Rungs } from "./rungs";
import { Steer } from "./steer";
import { Story } from "./story";
import { Trials } from "./trials";
import { State } from "./trials-table";
import type { View } from "./view";
import { Workers } from "./workers";

const TABS: [string, string, (props: { view: View }) => preact.JSX.Element, boolean][] = [
  ["overview", "Overview", Overview, true],
  ["trials", "Trials", Trials, true],
  ["curves", "Curves", CurvesView, true],
  ["rungs", "Rungs", Rungs, false],
  ["hyperparameters", "Hyperparameters", Hyperparameters, true],
  ["health", "Diagnosis", Health, false],
  ["story", "Story", Story, false],
  ["workers", "Workers", Workers, false],
  ["steer", "Steer", Steer, false],
  ["rate", "Learning rate", LearningRate, false],
];

export function StudyPage({ name, query }: { name: string; query: URLSearchParams }) {
  const { study, error, live } = useStudy(name);
  const paused = usePaused();
  const tab = TABS.find(([key]) => key === query.get("tab")) ?? TABS[0];
  const brushText = query.get("b");
  const stateText = query.get("s") ?? "";
  const filter = query.get("f") ?? "";
  const brushes = useMemo(() => brushesFrom(brushText), [brushText]);
  const states = useMemo(() => stateText.split(",").filter(Boolean), [stateText]);
  const kept = useMemo(() => (study ? selected(study, brushes, states, filter) : new Uint8Array(0)), [study, brushes, states, filter]);
  const tabs = useRef<HTMLElement>(null);
  useEffect(() => {
    // Where not all tabs have room, the open one is brought into sight; the page itself stays where it is.
    const [strip, own] = [tabs.current, tabs.current?.querySelector<HTMLElement>("[aria-current]")];
    if (strip && own) strip.scrollLeft = own.offsetLeft - strip.offsetLeft - (strip.clientWidth - own.clientWidth) / 2;
  }, [tab[0], !study]);
  useEffect(() => {
    const keys = (e: KeyboardEvent) => {
      const target = e.target as HTMLElement;
      if (e.ctrlKey || e.metaKey || e.altKey || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) return;
      if (/^[0-9]$/.test(e.key)) put({ tab: TABS[(Number(e.key) + 9) % 10][0] });
      else if (e.key === "/") {
        document.getElementById("filter")?.focus();
        e.preventDefault();
      }
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  if (!study)
    return error ? (
      <main id="main"><p class="wrong" role="alert">{error}</p><p><a href="#/">All studies</a></p></main>
    ) : (
      <main id="main"><p class="wait" role="status">Reading {cut(name, 80)}…</p></main>
    );
  const [key, , Body, filters] = tab;
  const { summary } = study;
  const own = summary.notes.find((n) => n.trial < 0);
  return (
    <main id="main" data-view={key} data-version={study.version}>
      <div class="title">
        <h1 title={name}>{name}</h1>
        <State state={summary.state} />
        {summary.stages.length > 0 && <span class="dim">stage: {summary.stages[summary.stages.length - 1].name}</span>}
        <span class={`live ${paused ? "paused" : live ? "on" : "off"}`} role="status">
          {paused ? "paused" : live ? "live" : "not connected"}
        </span>
      </div>
      <p class="dim objective">
        {summary.objective}; last sign {duration(summary.now - summary.last_sign)} ago
      </p>
      {summary.note && (
        <p class="note">
          {summary.note}
          {own && <span class="dim"> ({own.who && `${own.who}, `}{when(own.time)})</span>}
        </p>
      )}
      {error && <p class="wrong" role="alert">{error}</p>}
      <nav class="tabs" aria-label="Views of the study" ref={tabs}>
        {TABS.map(([k, label], i) => {
          const next = new URLSearchParams(query);
          next.set("tab", k);
          return (
            <a href={`#/study?${next}`} aria-current={k === key ? "page" : undefined} title={`key ${(i + 1) % 10}`}>
              {label}
            </a>
          );
        })}
      </nav>
      {filters && <Filters view={{ study, query, kept, brushes, states, filter }} />}
      <Body view={{ study, query, kept, brushes, states, filter }} />
    </main>
  );
}
