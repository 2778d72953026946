// Axes, and marks on them.
import type { Scale } from "./scales";
import type { Surface } from "./surface";
import type { Theme } from "./theme";
import { cut } from "./words";

export interface Mark {
  x: number;
  y: number;
  text: string | (() => string); // what hovering says, a line each; written when it is asked for
  trial?: number;
}

export const said = (mark: Mark): string => (typeof mark.text === "string" ? mark.text : mark.text());

export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
  x(value: number): number;
  y(value: number): number;
}

export interface Axes {
  x: Scale;
  y: Scale;
  xLabel?: string;
  yLabel?: string;
  left?: number;
  right?: number;
  top?: number;
  bottom?: number;
  bare?: boolean; // no grid
}

export function frame(s: Surface, w: number, h: number, theme: Theme, axes: Axes): Frame {
  const yTicks = axes.y.ticks(Math.max(2, Math.floor(h / 45)));
  const longest = Math.max(0, ...yTicks.map((t) => cut(t.label, 18).length));
  const left = axes.left ?? Math.min(w * 0.4, 12 + (axes.yLabel ? 14 : 0) + longest * 6.2);
  const right = axes.right ?? 14;
  const top = axes.top ?? 10;
  const width = Math.max(10, w - left - right);
  const xTicks = axes.x.ticks(Math.max(2, Math.floor(width / 70)));
  const isCategory = axes.x.kind === "category";
  const room = isCategory ? width / Math.max(1, xTicks.length) : 90;
  // Names that do not fit side by side take turns on two lines.
  const rows = isCategory && xTicks.length > 1 && Math.max(...xTicks.map((t) => t.label.length)) * 6.4 > room - 6 ? 2 : 1;
  const bottom = axes.bottom ?? (axes.xLabel ? 38 : 24) + 14 * (rows - 1);
  const height = Math.max(10, h - top - bottom);
  const found: Frame = {
    left,
    top,
    width,
    height,
    x: (v) => left + axes.x.place(v) * width,
    y: (v) => top + (1 - axes.y.place(v)) * height,
  };
  for (const tick of yTicks) {
    const y = top + (1 - tick.at) * height;
    if (!axes.bare) s.line([left, y, left + width, y], { stroke: theme.grid });
    s.text(left - 6, y, cut(tick.label, Math.max(4, Math.floor((left - 8) / 6))), { fill: theme.dim, anchor: "end" });
  }
  const every = isCategory ? Math.max(1, Math.ceil(30 / (room * rows))) : 1;
  const letters = Math.max(2, Math.floor((room * rows * every * 0.9 - 6) / 6.4));
  xTicks.forEach((tick, i) => {
    const x = left + tick.at * width;
    if (!axes.bare && !isCategory) s.line([x, top, x, top + height], { stroke: theme.grid });
    const anchor = tick.at > 0.97 ? "end" : tick.at < 0.03 ? "start" : "middle";
    if (i % every === 0) {
      const label = cut(tick.label, letters);
      const half = label.length * 3.2;
      const inside = isCategory ? Math.min(w - half - 2, Math.max(half + 2, x)) : x;
      s.text(inside, top + height + 13 + 14 * (Math.floor(i / every) % rows), label, {
        fill: theme.dim,
        anchor: isCategory ? "middle" : anchor,
      });
    }
  });
  s.line([left, top, left, top + height, left + width, top + height], { stroke: theme.dim, alpha: 0.6 });
  if (axes.xLabel)
    s.text(left + width / 2, h - 9, cut(axes.xLabel, Math.floor(width / 6)), { fill: theme.dim, anchor: "middle" });
  if (axes.yLabel)
    s.text(9, top + height / 2, cut(axes.yLabel, Math.floor(height / 6)), { fill: theme.dim, anchor: "middle", turn: -90 });
  return found;
}

export function cross(s: Surface, x: number, y: number, r: number, stroke: string, alpha = 1): void {
  s.line([x - r, y - r, x + r, y + r], { stroke, width: 1.4, alpha });
  s.line([x - r, y + r, x + r, y - r], { stroke, width: 1.4, alpha });
}

export function arrow(s: Surface, x: number, y: number, r: number, fill: string, stroke?: string): void {
  s.polygon([x - r * 0.8, y - r, x + r, y, x - r * 0.8, y + r], { fill, stroke, width: 1 });
}

export type Entry = [label: string, colour: string, mark?: "dot" | "cross" | "arrow" | "line"];
const KEY_LINE = 15;

// How many pixels the lines of a key take.
export function keyHeight(entries: Entry[], room: number): number {
  return KEY_LINE * laid(entries, room).lines;
}

function laid(entries: Entry[], room: number): { places: [number, number][]; lines: number } {
  let [x, line] = [0, 0];
  const places = entries.map(([label]): [number, number] => {
    const width = 8 + label.length * 6 + 14;
    if (x && x + width - 10 > room) [x, line] = [0, line + 1];
    x += width;
    return [x - width, line];
  });
  return { places, lines: line + 1 };
}

// A key of colours and marks above the picture, in as many lines as its room needs.
export function key(s: Surface, theme: Theme, x: number, y: number, entries: Entry[], room = Infinity): void {
  laid(entries, room).places.forEach(([dx, line], i) => {
    const [label, colour, mark] = entries[i];
    const [px, py] = [x + dx, y + KEY_LINE * line];
    if (mark === "cross") cross(s, px, py, 3.5, colour);
    else if (mark === "arrow") arrow(s, px, py, 4, colour);
    else if (mark === "line") s.line([px - 4, py, px + 4, py], { stroke: colour, width: 1.5 });
    else s.circle(px, py, 3.5, { fill: colour });
    s.text(px + 8, py, label, { fill: theme.dim, size: 10.5 });
  });
}

export function nothing(s: Surface, w: number, h: number, theme: Theme, text: string): Mark[] {
  s.text(w / 2, h / 2, cut(text, Math.floor(w / 6)), { fill: theme.dim, anchor: "middle", size: 12 });
  return [];
}
