// Parallel coordinates on a canvas of our own: every hyperparameter on its own scale, brushes on every axis.
//
// Lines are drawn the best first, each behind what is there already, as many a frame as keep the frame
// short. So a brush answers at once however many trials there are, and the picture fills up.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Study } from "./data";
import { dotOf, Lines } from "./lines";
import { category, robust, type Scale, scaled } from "./scales";
import { type Brush, type Brushes, shown } from "./selection";
import { CanvasSurface, type Surface, SvgSurface } from "./surface";
import { ramp, type Theme, useTheme } from "./theme";
import { cut, number, save } from "./words";

const TOP = 44;
const RAIL = 22; // below the axes, where hyperparameters that were not active lie
const BOTTOM = 14;
const SHADES = 32;
const DRAWING = 7; // ms of a frame that go to lines
const MOST = 20_000; // lines that are drawn, the best ones: more of them only fill the picture

export interface Axis {
  name: string;
  label: string;
  scale: Scale;
  text(value: number): string;
  values: (number | null)[];
  ends: [number, number]; // of the scale, and of all values
}

function endsOf(scale: Scale, values: (number | null)[]): [number, number] {
  let [low, high] = [scale.low, scale.high];
  for (const v of values) if (v !== null) [low, high] = [Math.min(low, v), Math.max(high, v)];
  return [low, high];
}

export function axesOf(study: Study, names: string[], log: boolean): Axis[] {
  const { summary, columns } = study;
  const found: Axis[] = [];
  for (const name of names) {
    const h = summary.space.find((one) => one.name === name);
    if (!h) continue;
    const values = columns.hyperparameters[name] ?? [];
    let scale: Scale;
    if (h.kind === "choice") scale = category(h.options ?? []);
    else {
      const own = scaled(h.scale ?? "linear", h.low!, h.high!);
      scale = scaled(h.scale ?? "linear", ...endsOf(own, values));
    }
    found.push({ name, label: h.short, scale, values, ends: endsOf(scale, values), text: (v) => shown(h, v) });
  }
  summary.objectives.forEach(({ metric, direction }, i) => {
    const values = i ? columns.values[metric] : columns.value;
    const [low, high] = robust(values, direction);
    const scale = scaled(log && low > 0 ? "log" : "linear", low, high);
    found.push({ name: metric, label: metric, scale, values, ends: endsOf(scale, values), text: (v) => number(v, 6) });
  });
  return found;
}

interface Props {
  study: Study;
  names: string[];
  kept: Uint8Array;
  brushes: Brushes;
  log: boolean;
  controls?: ComponentChildren;
  onBrush: (brushes: Brushes) => void;
  onDrag: (brushes: Brushes) => Uint8Array; // what a brush that is being drawn would keep
  onTrial: (trial: number) => void;
}

export function Parallel(props: Props) {
  const { study, kept, brushes } = props;
  const theme = useTheme();
  const box = useRef<HTMLDivElement>(null);
  const base = useRef<HTMLCanvasElement>(null);
  const top = useRef<HTMLCanvasElement>(null);
  const over = useRef<HTMLCanvasElement>(null);
  const [room, setRoom] = useState(0);
  const [dragged, setDragged] = useState<Brushes | null>(null);
  const [hovered, setHovered] = useState<{ trial: number; x: number; y: number } | null>(null);
  const [counted, setCounted] = useState(-1);
  const waiting = useRef<Brushes | null>(null);
  const asked = useRef(0);
  const greyed = useRef<Painter | null>(null);
  const painters = useRef<{ base: Painter; top: Painter } | null>(null);

  const axes = useMemo(
    () => axesOf(study, props.names, props.log),
    [study.version, props.names.join("\n"), props.log],
  );
  const height = 380;
  const gap = Math.max(84, room / Math.max(1, axes.length));
  const width = Math.max(room, Math.floor(gap * axes.length));
  const geometry = useMemo(() => places(axes, study, width, height), [axes, width]);

  useLayoutEffect(() => {
    const measure = () => setRoom(Math.floor(box.current!.clientWidth));
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);

  useEffect(() => {
    if (!width || !base.current || !top.current || !over.current) return;
    for (const canvas of [base.current, top.current, over.current]) fit(canvas, width, height);
    painters.current?.base.stop();
    painters.current?.top.stop();
    painters.current = {
      base: new Painter(base.current, geometry, () => theme.grid, theme.dark ? 0.5 : 0.7),
      top: new Painter(top.current, geometry, (rank) => ramp(theme, warmth(rank, study.count)), alphaOf(study.count)),
    };
    return () => {
      painters.current?.base.stop();
      painters.current?.top.stop();
    };
  }, [geometry, theme]);

  // All lines in grey lie below, shown while a part is selected. They are painted before that, so that the
  // first brush does not wait for them; of very many trials only when it comes to it.
  const some = kept.some((k) => !k) || dragged !== null;
  useEffect(() => {
    const painter = painters.current?.base;
    if (!painter || greyed.current === painter || (!some && study.count > MOST)) return;
    greyed.current = painter;
    painter.paint(new Uint8Array(study.count).fill(1));
  }, [geometry, theme, some]);
  useEffect(() => {
    if (!dragged) painters.current?.top.paint(kept);
  }, [geometry, theme, kept, dragged]);

  useEffect(() => {
    if (!over.current || !width) return;
    const context = over.current.getContext("2d")!;
    context.clearRect(0, 0, width, height);
    const surface = new CanvasSurface(context);
    drawAxes(surface, axes, geometry, dragged ?? brushes, theme);
    if (hovered) {
      const points = lineOf(geometry, hovered.trial);
      surface.line(points, { stroke: theme.paper, width: 5 });
      surface.line(points, { stroke: theme.best, width: 2.5 });
    }
  }, [geometry, theme, brushes, dragged, hovered?.trial]);

  // While a brush is drawn, the newest of the mouse's moves counts, once a frame.
  const drag = (next: Brushes, done: boolean) => {
    waiting.current = done ? null : next;
    if (done) {
      setDragged(null);
      setCounted(-1);
      props.onBrush(next);
    } else if (!asked.current) {
      asked.current = requestAnimationFrame(() => {
        asked.current = 0;
        const newest = waiting.current;
        if (!newest) return;
        const found = props.onDrag(newest);
        painters.current?.top.paint(found, true);
        setDragged(newest);
        setCounted(found.reduce((sum, k) => sum + k, 0));
      });
    }
  };

  const hover = (event: MouseEvent) => {
    const where = over.current!.getBoundingClientRect();
    const [x, y] = [event.clientX - where.left, event.clientY - where.top];
    const trial = nearestLine(geometry, kept, x, y);
    setHovered(trial < 0 ? null : { trial, x, y });
  };

  const whole = (surface: Surface) => {
    const order = geometry.order;
    for (let i = order.length - 1; i >= 0; i--) {
      const trial = order[i];
      const colour = kept[trial] ? ramp(theme, warmth(geometry.rank[trial], study.count)) : theme.grid;
      surface.line(lineOf(geometry, trial), { stroke: colour, alpha: kept[trial] ? Math.max(0.35, alphaOf(study.count)) : 0.4 });
    }
    drawAxes(surface, axes, geometry, brushes, theme);
  };
  const png = () => {
    const large = document.createElement("canvas");
    fit(large, width, height, 2);
    const context = large.getContext("2d")!;
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, width, height);
    whole(new CanvasSurface(context));
    large.toBlob((blob) => blob && save("parallel-coordinates.png", blob));
  };
  const svg = () => {
    const surface = new SvgSurface();
    whole(surface);
    save("parallel-coordinates.svg", new Blob([surface.document(width, height, theme.paper)], { type: "image/svg+xml" }));
  };

  const count = counted >= 0 ? counted : kept.reduce((sum, k) => sum + k, 0);
  const sentence =
    study.count === 0
      ? "No trial yet."
      : `${count} of ${study.count} trials, a line each${count > MOST ? ` (the best ${MOST} are drawn)` : ""}; the best are the warmest. Drag along an axis to keep a ` +
        "part of it, click it to let go. Lines end at the lower rail where a hyperparameter was not active.";
  return (
    <figure class="picture" role="group" aria-label="Parallel coordinates">
      <div class="picture-head">
        <h2>Parallel coordinates</h2>
        <div class="controls">{props.controls}</div>
        <div class="exports" role="group" aria-label="Save parallel coordinates">
          <button type="button" onClick={png}>PNG</button>
          <button type="button" onClick={svg}>SVG</button>
        </div>
      </div>
      <div class="drawing scrolls" ref={box} tabIndex={0} role="region" aria-label="Axes of the parallel coordinates">
        <div class="parallel" style={{ width: `${width}px`, height: `${height}px` }}>
          <canvas ref={base} style={{ visibility: some ? "visible" : "hidden" }} />
          <canvas ref={top} data-parallel="lines" />
          <canvas
            ref={over}
            onMouseMove={hover}
            onMouseLeave={() => setHovered(null)}
            onClick={() => hovered && props.onTrial(hovered.trial)}
          />
          {axes.map((axis, i) => (
            <AxisHandle
              key={axis.name}
              axis={axis}
              x={geometry.xs[i]}
              top={TOP}
              height={geometry.bottom - TOP}
              brush={(dragged ?? brushes)[axis.name]}
              onBrush={(brush, done) => {
                const next = { ...(dragged ?? brushes) };
                if (brush) next[axis.name] = brush;
                else delete next[axis.name];
                drag(next, done);
              }}
            />
          ))}
          {hovered && <HoverLine study={study} axes={axes} {...hovered} width={width} />}
        </div>
      </div>
      <figcaption>{sentence}</figcaption>
    </figure>
  );
}

interface Geometry {
  xs: number[];
  ys: Float32Array[]; // by axis, then trial
  bottom: number;
  order: Int32Array; // of the trials, the best first
  rank: Float32Array; // 0 the best, 1 the worst
}

function places(axes: Axis[], study: Study, width: number, height: number): Geometry {
  const bottom = height - RAIL - BOTTOM;
  const count = study.count;
  const gap = width / Math.max(1, axes.length);
  const ys = axes.map((axis) => {
    const found = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const v = axis.values[i];
      if (v === null || v === undefined || v < -0.5) found[i] = bottom + RAIL;
      else {
        let place = Math.min(1.02, Math.max(-0.02, axis.scale.place(v)));
        if (axis.scale.kind === "category") place += (((i * 0.618034) % 1) - 0.5) * (0.5 / (axis.scale.options!.length || 1));
        found[i] = bottom - place * (bottom - TOP);
      }
    }
    return found;
  });
  const sign = study.summary.objectives[0].direction === "maximize" ? -1 : 1;
  const loss = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const v = study.columns.value[i];
    const spoilt = study.columns.state[i] >= 5; // diverged, failed
    loss[i] = v === null || spoilt ? Infinity : sign * v;
  }
  const order = Int32Array.from({ length: count }, (_, i) => i).sort((a, b) => (loss[a] < loss[b] ? -1 : loss[a] > loss[b] ? 1 : a - b));
  const rank = new Float32Array(count);
  order.forEach((trial, i) => (rank[trial] = count > 1 ? i / (count - 1) : 0));
  return { xs: axes.map((_, i) => gap * (i + 0.5)), ys, bottom, order, rank };
}

function lineOf(g: Geometry, trial: number): number[] {
  const points: number[] = [];
  g.xs.forEach((x, i) => points.push(x, g.ys[i][trial]));
  return points;
}

// From 1 for the best to 0 for the worst. Among many trials some good one passes everywhere, so there fewer of
// them are warm.
const warmth = (rank: number, count: number) => 1 - rank ** Math.min(1, Math.max(0.3, 1 - 0.35 * Math.log10(count / 100)));

const alphaOf = (count: number) => Math.min(0.9, Math.max(0.25, 12 / Math.sqrt(count || 1)));

class Painter {
  private request = 0;
  private lines: Lines;
  private scale: number;
  private shades: number[];

  constructor(
    private canvas: HTMLCanvasElement,
    private g: Geometry,
    colour: (rank: number) => string,
    private alpha: number,
  ) {
    this.scale = canvas.width / Number(canvas.dataset.width || 1);
    this.lines = new Lines(canvas.width, canvas.height, Math.max(1, this.scale));
    this.shades = Array.from({ length: SHADES + 1 }, (_, i) => dotOf(colour(i / SHADES)));
  }

  stop(): void {
    cancelAnimationFrame(this.request);
  }

  // With *now* the first lines are drawn at once: the caller is in a frame already.
  paint(kept: Uint8Array, now = false): void {
    this.stop();
    const context = this.canvas.getContext("2d")!;
    const { order, rank } = this.g;
    const alpha = Math.round(255 * this.alpha);
    const xs = this.g.xs.map((x) => x * this.scale);
    const { ys } = this.g;
    let next = 0;
    let drawn = 0;
    const draw = () => {
      if (!next) this.lines.clear();
      const until = performance.now() + DRAWING;
      while (next < order.length && drawn < MOST) {
        const trial = order[next++];
        if (!kept[trial]) continue;
        const colour = this.shades[Math.floor(rank[trial] * SHADES)];
        for (let a = 1; a < xs.length; a++)
          this.lines.draw(xs[a - 1], ys[a - 1][trial] * this.scale, xs[a], ys[a][trial] * this.scale, colour, alpha);
        if (!(++drawn % 32) && performance.now() > until) break;
      }
      this.lines.show(context);
      if (next < order.length && drawn < MOST) this.request = requestAnimationFrame(draw);
      else this.canvas.dataset.done = String(Number(this.canvas.dataset.done ?? 0) + 1);
    };
    if (now) draw();
    else this.request = requestAnimationFrame(draw);
  }
}

function fit(canvas: HTMLCanvasElement, width: number, height: number, ratio = window.devicePixelRatio || 1): void {
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.dataset.width = String(width);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.getContext("2d")!.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function drawAxes(s: Surface, axes: Axis[], g: Geometry, brushes: Brushes, theme: Theme): void {
  const gap = axes.length > 1 ? g.xs[1] - g.xs[0] : 200;
  const turns = gap < 130; // titles take turns on two lines
  const letters = Math.max(4, Math.floor((gap * (turns ? 2 : 1) - 10) / 7.3));
  const end = g.xs.length ? g.xs[g.xs.length - 1] + gap / 2 : gap;
  axes.forEach((axis, i) => {
    const x = g.xs[i];
    const length = g.bottom - TOP;
    s.line([x, TOP, x, g.bottom], { stroke: theme.ink, alpha: 0.75 });
    s.line([x - 5, g.bottom + RAIL, x + 5, g.bottom + RAIL], { stroke: theme.dim, alpha: 0.8 });
    const title = cut(axis.label, letters);
    const half = title.length * 3.65;
    s.text(Math.min(end - half, Math.max(half, x)), i % 2 && turns ? 28 : 14, title, {
      fill: theme.ink,
      anchor: "middle",
      size: 11.5,
      bold: true,
    });
    const ticks = axis.scale.ticks(6);
    const every = Math.max(1, Math.ceil(ticks.length / (length / 14)));
    ticks.forEach((tick, k) => {
      const y = g.bottom - tick.at * length;
      s.line([x - 3, y, x, y], { stroke: theme.ink, alpha: 0.75 });
      if (k % every) return;
      const label = cut(tick.label, Math.max(4, Math.floor((gap - 20) / 6)));
      s.rect(x + 3, y - 7, label.length * 6 + 4, 14, { fill: theme.paper, alpha: 0.72 });
      s.text(x + 5, y, label, { fill: theme.dim, size: 10.5 });
    });
    const brush = brushes[axis.name];
    if (brush)
      for (const [a, b] of spans(axis, brush)) {
        const [y0, y1] = [g.bottom - b * length, g.bottom - a * length];
        s.rect(x - 8, y0, 16, Math.max(2, y1 - y0), { fill: theme.accent, alpha: 0.28 });
        s.rect(x - 8, y0, 16, Math.max(2, y1 - y0), { stroke: theme.accent, width: 1.5 });
      }
  });
}

// The parts of an axis, each from 0 to 1, that a brush keeps.
function spans(axis: Axis, brush: Brush): [number, number][] {
  if (axis.scale.kind === "category") {
    const options = axis.scale.options!;
    return options
      .map((o, i) => [o, i] as const)
      .filter(([o]) => (brush as string[]).includes(o))
      .map(([, i]) => [i / options.length, (i + 1) / options.length]);
  }
  const [low, high] = brush as [number, number];
  const inside = (v: number) => Math.min(1, Math.max(0, axis.scale.place(v)));
  return [[inside(low), inside(high)]];
}

export function brushOf(axis: Axis, a: number, b: number): Brush {
  const [low, high] = a < b ? [a, b] : [b, a];
  if (axis.scale.kind === "category") {
    const options = axis.scale.options!;
    return options.filter((_, i) => (i + 1) / options.length > low + 1e-9 && i / options.length < high - 1e-9);
  }
  const short = (v: number) => Number(v.toPrecision(4));
  return [
    low <= 0 ? axis.ends[0] : short(axis.scale.value(low)),
    high >= 1 ? axis.ends[1] : short(axis.scale.value(high)),
  ];
}

interface HandleProps {
  axis: Axis;
  x: number;
  top: number;
  height: number;
  brush: Brush | undefined;
  onBrush: (brush: Brush | null, done: boolean) => void;
}

function AxisHandle({ axis, x, top, height, brush, onBrush }: HandleProps) {
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

function nearestLine(g: Geometry, kept: Uint8Array, x: number, y: number): number {
  if (g.xs.length < 2) return -1;
  const gap = g.xs[1] - g.xs[0];
  const left = Math.min(g.xs.length - 2, Math.max(0, Math.floor((x - g.xs[0]) / gap)));
  const share = Math.min(1, Math.max(0, (x - g.xs[left]) / gap));
  let found = -1;
  let least = 7;
  for (const trial of g.order) {
    if (!kept[trial]) continue;
    const far = Math.abs(g.ys[left][trial] * (1 - share) + g.ys[left + 1][trial] * share - y);
    if (far < least) [found, least] = [trial, far];
  }
  return found;
}

function HoverLine({ study, axes, trial, x, y, width }: { study: Study; axes: Axis[]; trial: number; x: number; y: number; width: number }) {
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
