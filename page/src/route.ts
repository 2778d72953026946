// Every view's state is in the URL, after the #: a link reproduces what one sees.
import { useEffect, useState } from "preact/hooks";

export interface Route {
  path: string;
  query: URLSearchParams;
}

function read(): Route {
  const [path, query] = location.hash.replace(/^#/, "").split(/\?(.*)/s, 2);
  return { path: path || "/", query: new URLSearchParams(query ?? "") };
}

const listeners = new Set<() => void>();
addEventListener("hashchange", () => listeners.forEach((tell) => tell()));

export function useRoute(): Route {
  const [route, set] = useState(read());
  useEffect(() => {
    const listen = () => set(read());
    listeners.add(listen);
    return () => void listeners.delete(listen);
  }, []);
  return route;
}

export function link(path: string, query: Record<string, string | number | undefined>): string {
  const pairs = Object.entries(query).filter(([, v]) => v !== undefined && v !== "");
  return `#${path}?${new URLSearchParams(pairs.map(([k, v]) => [k, String(v)]))}`;
}

// Changes parts of the query in place: no new entry in the browser's history.
export function put(changes: Record<string, string | number | null | undefined>): void {
  const { path, query } = read();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(key);
    else query.set(key, String(value));
  }
  history.replaceState(null, "", `#${path}?${query}`);
  listeners.forEach((tell) => tell());
}

export function go(to: string): void {
  location.hash = to;
}

// Names that a link carries as a list; none where it is broken.
export function namesFrom(text: string | null): string[] {
  try {
    const found: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(found) ? found.map(String) : [];
  } catch {
    return [];
  }
}
