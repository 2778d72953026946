// The page: its frame, its places, its keys.
import "./page.css";
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { theSession, togglePause, usePaused, useStudy } from "./data";
import { LearningRate } from "./rate";
import { go, link, put, useRoute } from "./route";
import { brushesFrom, selected } from "./selection";
import { CompareStudies } from "./against";
import { Steer } from "./steer";
import { Studies } from "./studies";
import { CurvesView, Filters, Health, Hyperparameters, Overview, Rungs, Story, Trials, type View, Workers } from "./study-views";
import { choose, chosen, useTheme } from "./theme";
import { Compare, TrialView } from "./trial";
import { State } from "./trials-table";
import { cut, duration } from "./words";

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

function StudyPage({ name, query }: { name: string; query: URLSearchParams }) {
  const { study, error, live } = useStudy(name);
  const paused = usePaused();
  const tab = TABS.find(([key]) => key === query.get("tab")) ?? TABS[0];
  const brushText = query.get("b");
  const stateText = query.get("s") ?? "";
  const filter = query.get("f") ?? "";
  const brushes = useMemo(() => brushesFrom(brushText), [brushText]);
  const states = useMemo(() => stateText.split(",").filter(Boolean), [stateText]);
  const kept = useMemo(() => (study ? selected(study, brushes, states, filter) : new Uint8Array(0)), [study, brushes, states, filter]);
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
      {summary.note && <p class="note">{summary.note}</p>}
      {error && <p class="wrong" role="alert">{error}</p>}
      <nav class="tabs" aria-label="Views of the study">
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

function Help({ onClose }: { onClose: () => void }) {
  useEffect(() => {
    document.getElementById("help-close")?.focus();
  }, []);
  const keys: [string, string][] = [
    ["1 to 9, 0", "the views of a study"],
    ["/", "the filter"],
    ["t", "light, dark, or as the system wishes"],
    ["p", "pause and go on with live updates"],
    ["g", "all studies"],
    ["← →", "go through the points of a picture that has the focus; Enter opens the trial"],
    ["↑ ↓ + −", "move, widen and narrow the brush on an axis that has the focus; Esc lets it go"],
    ["?", "this"],
  ];
  return (
    <div class="veil" onClick={onClose}>
      <div class="help" role="dialog" aria-modal="true" aria-label="Keys" onClick={(e) => e.stopPropagation()} onKeyDown={(e) => e.key === "Escape" && onClose()}>
        <h2>Keys</h2>
        <dl>{keys.map(([k, what]) => <><dt><kbd>{k}</kbd></dt><dd>{what}</dd></>)}</dl>
        <button type="button" id="help-close" onClick={onClose}>Close</button>
      </div>
    </div>
  );
}

function Page() {
  const { path, query } = useRoute();
  const [help, setHelp] = useState(false);
  const [session, setSession] = useState<{ version: string; storage: string; steers: boolean } | null>(null);
  const paused = usePaused();
  useTheme();
  const name = query.get("name") ?? "";
  const turn = () => choose(({ auto: "light", light: "dark", dark: "auto" } as const)[chosen()]);
  useEffect(() => {
    void theSession().then(setSession).catch(() => undefined);
    const keys = (e: KeyboardEvent) => {
      const target = e.target as HTMLElement;
      if (e.ctrlKey || e.metaKey || e.altKey || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) return;
      if (e.key === "?") setHelp(true);
      else if (e.key === "t") turn();
      else if (e.key === "p") togglePause();
      else if (e.key === "g") go("/");
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  useEffect(() => {
    document.title = name ? `${cut(name, 60)} – Luthier` : "Luthier";
  }, [name]);
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => {
        e.preventDefault();
        const main = document.getElementById("main");
        main?.setAttribute("tabindex", "-1");
        main?.focus();
      }}>Skip to the content</a>
      <header>
        <a class="home" href="#/"><img src="icon.svg" width="22" height="22" alt="" /> Luthier</a>
        {name && path !== "/study" && <a class="up" href={link("/study", { name })} title={name}>{cut(name, 40)}</a>}
        <span class="grow" />
        {session && !session.steers && <span class="dim">read-only</span>}
        <button type="button" aria-pressed={paused} onClick={togglePause}>{paused ? "Go live" : "Pause"}</button>
        <button type="button" onClick={turn} aria-label={`Colours: ${chosen()}`}>{{ auto: "Auto", light: "Light", dark: "Dark" }[chosen()]}</button>
        <button type="button" onClick={() => setHelp(true)} aria-label="Keys">?</button>
      </header>
      {path === "/study" && name ? (
        <StudyPage key={name} name={name} query={query} />
      ) : path === "/trial" && name ? (
        <TrialView key={name} name={name} query={query} />
      ) : path === "/compare" && name ? (
        <Compare key={name} name={name} query={query} />
      ) : path === "/studies" ? (
        <CompareStudies query={query} />
      ) : (
        <Studies />
      )}
      <footer class="dim">{session ? `luthier ${session.version}, ${session.storage}` : ""}</footer>
      {help && <Help onClose={() => setHelp(false)} />}
    </>
  );
}

render(<Page />, document.getElementById("page")!);
