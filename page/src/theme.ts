// Light and dark. Pictures take their colours from here, texts theirs from the style sheet.
import { useEffect, useState } from "preact/hooks";

export interface Theme {
  dark: boolean;
  paper: string;
  ink: string;
  dim: string;
  grid: string;
  accent: string;
  best: string;
  bad: string;
  states: Record<string, string>;
  series: string[];
  ramp: [number, number, number][]; // from worst to best
}

const LIGHT: Theme = {
  dark: false,
  paper: "#ffffff",
  ink: "#1b2430",
  dim: "#566270",
  grid: "#e3e8ee",
  accent: "#1668b8",
  best: "#c2470a",
  bad: "#b3261e",
  states: {
    queued: "#7a8795",
    running: "#0f7d62",
    paused: "#9a6b00",
    completed: "#1668b8",
    stopped: "#8a95a1",
    diverged: "#b3261e",
    failed: "#7d1d5a",
  },
  series: ["#1668b8", "#c2470a", "#0f7d62", "#7b4fb5", "#9a6b00", "#b3261e", "#2b7a8c", "#8c4a6b", "#5b6d1f", "#4a5a8c"],
  ramp: [[190, 201, 212], [92, 148, 196], [22, 104, 184], [194, 71, 10]],
};

const DARK: Theme = {
  dark: true,
  paper: "#161c24",
  ink: "#e6ebf1",
  dim: "#9fadbb",
  grid: "#2a333e",
  accent: "#6db3f2",
  best: "#ff9a5c",
  bad: "#ff8a80",
  states: {
    queued: "#8896a5",
    running: "#4cd3a5",
    paused: "#e6b84d",
    completed: "#6db3f2",
    stopped: "#74818f",
    diverged: "#ff8a80",
    failed: "#e08bc0",
  },
  series: ["#6db3f2", "#ff9a5c", "#4cd3a5", "#b79bf0", "#e6b84d", "#ff8a80", "#6cc7d9", "#e08bc0", "#b3c65a", "#98a9e0"],
  ramp: [[62, 74, 88], [58, 110, 156], [109, 179, 242], [255, 154, 92]],
};

export type Choice = "auto" | "light" | "dark";
const wanted = window.matchMedia("(prefers-color-scheme: dark)");
let choice: Choice = "auto";
try {
  choice = (localStorage.getItem("luthier-theme") as Choice) || "auto";
} catch {
  // storage may be forbidden: then the system's wish counts
}
const listeners = new Set<() => void>();

function apply(): void {
  document.documentElement.dataset.theme = current().dark ? "dark" : "light";
  listeners.forEach((tell) => tell());
}

export function current(): Theme {
  return choice === "dark" || (choice === "auto" && wanted.matches) ? DARK : LIGHT;
}

export function chosen(): Choice {
  return choice;
}

export function choose(next: Choice): void {
  choice = next;
  try {
    localStorage.setItem("luthier-theme", next);
  } catch {
    // as above
  }
  apply();
}

export function useTheme(): Theme {
  const [, tell] = useState(0);
  useEffect(() => {
    const listen = () => tell((n) => n + 1);
    listeners.add(listen);
    return () => void listeners.delete(listen);
  }, []);
  return current();
}

export function ramp(theme: Theme, share: number): string {
  const steps = theme.ramp.length - 1;
  const at = Math.min(1, Math.max(0, share)) * steps;
  const i = Math.min(steps - 1, Math.floor(at));
  const mix = theme.ramp[i].map((c, k) => Math.round(c + (theme.ramp[i + 1][k] - c) * (at - i)));
  return `rgb(${mix.join(",")})`;
}

wanted.addEventListener("change", apply);
apply();
