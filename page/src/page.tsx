// The page: its frame, its places, its keys.
import "./page.css";
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { theSession, togglePause, usePaused } from "./data";
import { go, link, useRoute } from "./route";
import { CompareStudies } from "./studies/against";
import { Studies } from "./studies/studies";
import { StudyPage } from "./study/study";
import { choose, chosen, useTheme } from "./theme";
import { Compare } from "./trial/compare";
import { TrialView } from "./trial/trial";
import { cut } from "./words";

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
