// What lies on the parallel coordinates: the handle of an axis, which is brushed by mouse and keyboard, and the
// text of the line under the mouse.
import { useRef } from "preact/hooks";
import type { Study } from "../data";
import { type Axis, brushOf, spans } from "../pictures/parallel";
import type { Brush } from "../selection";
import { number } from "../words";

interface HandleProps {
  axis: Axis;
  x: number;
  top: number;
  height: number;
  brush: Brush | undefined;
  onBrush: (brush: Brush | null, done: boolean) => void;
}

export function AxisHandle({ axis, x, top, height, brush, onBrush }: HandleProps) {
  const start = useRef<number | null>(null);
  const place = (event: PointerEvent) => {
    const where = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.min(1, Math.max(0, 1 - (event.clientY - where.top - 6) / height));
  };
  const press = (event: KeyboardEvent) => {
    const now = brush ? spans(axis, brush) : [];
    const [a, b] = now.length ? [now[0][0], now[now.length - 1][1]] : [0, 1];
    const step = axis.scale.kind === "category" ? 1 / (axis.scale.options!.length || 1) : 0.05;
    const moves: Record<string, [number, number]> = {
      ArrowUp: brush ? [a + step, b + step] : [1 - 2 * step, 1],
      ArrowDown: brush ? [a - step, b - step] : [0, 2 * step],
      "+": [a - step, b + step],
      "-": [a + step / 2, b - step / 2],
    };
    if (event.key === "Escape" || event.key === "Delete" || event.key === "Backspace") onBrush(null, true);
    else if (event.key in moves) {
      const [low, high] = moves[event.key];
      const wide = Math.min(1, Math.max(step / 2, high - low));
      const from = Math.min(1 - wide, Math.max(0, low));
      onBrush(brushOf(axis, from, from + wide), true);
    } else return;
    event.preventDefault();
  };
  const said = brush
    ? axis.scale.kind === "category"
      ? (brush as string[]).join(", ")
      : (brush as number[]).map((v) => number(v)).join(" to ")
    : "all";
  return (
    <div
      class="axis"
      tabIndex={0}
      role="slider"
      aria-orientation="vertical"
      aria-label={`Brush ${axis.name}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={brush && spans(axis, brush).length ? Math.round(50 * (spans(axis, brush)[0][0] + spans(axis, brush).at(-1)![1])) : 50}
      aria-valuetext={said}
      title={`${axis.name}: ${said}`}
      data-axis={axis.name}
      style={{ left: `${x - 14}px`, top: `${top - 6}px`, height: `${height + 12}px` }}
      onKeyDown={press}
      onPointerDown={(e) => {
        start.current = place(e);
        (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
      }}
      onPointerMove={(e) => {
        if (start.current === null) return;
        const now = place(e);
        if (Math.abs(now - start.current) * height > 3) onBrush(brushOf(axis, start.current, now), false);
      }}
      onPointerUp={(e) => {
        if (start.current === null) return;
        const now = place(e);
        const still = Math.abs(now - start.current) * height <= 3;
        onBrush(still ? null : brushOf(axis, start.current, now), true);
        start.current = null;
      }}
    />
  );
}

export function HoverLine({ study, axes, trial, x, y, width }: { study: Study; axes: Axis[]; trial: number; x: number; y: number; width: number }) {
  const objectives = new Set(study.summary.objectives.map((o) => o.metric));
  const told = [...axes.filter((a) => objectives.has(a.name)), ...axes.filter((a) => !objectives.has(a.name))];
  const lines = told
    .filter((axis) => axis.values[trial] !== null && axis.values[trial] !== undefined)
    .slice(0, 14)
    .map((axis) => `${axis.label} ${axis.text(axis.values[trial]!)}`);
  const right = x > width / 2;
  return (
    <span
      class="hover"
      role="status"
      style={{ [right ? "right" : "left"]: `${right ? width - x + 14 : x + 14}px`, top: `${Math.max(0, Math.min(y, 200))}px` }}
    >
      {`trial ${trial}\n${lines.join("\n")}`}
    </span>
  );
}
