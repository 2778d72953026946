// Parallel coordinates on a canvas of our own: every hyperparameter on its own scale, brushes on every axis.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Study } from "../data";
import { alphaOf, axesOf, drawAxes, lineOf, nearestLine, places, TOP, warmth } from "../pictures/parallel";
import type { Brushes } from "../selection";
import { CanvasSurface, type Surface, SvgSurface } from "../surface";
import { ramp, useTheme } from "../theme";
import { many, save } from "../words";
import { AxisHandle, HoverLine } from "./axis-handle";
import { fit, MOST, Painter } from "./painter";

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
      : `${count} of ${many(study.count, "trial")}, a line each${count > MOST ? ` (the best ${MOST} are drawn)` : ""}; the best are the warmest. Drag along an axis to keep a ` +
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
