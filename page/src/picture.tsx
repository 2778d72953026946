// A picture with all that belongs to it: hovering, the keyboard, a sentence, a table, PNG, SVG and CSV.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Mark, said } from "./plot";
import { put, useRoute } from "./route";
import { CanvasSurface, type Surface, SvgSurface } from "./surface";
import { type Theme, useTheme } from "./theme";
import { csv, save } from "./words";

export interface Table {
  head: string[];
  rows: unknown[][];
}

interface Props {
  title: string;
  sentence: string;
  height?: number;
  minWidth?: number;
  controls?: ComponentChildren;
  table?: () => Table;
  draw: (s: Surface, w: number, h: number, theme: Theme) => Mark[];
  onTrial?: (trial: number) => void;
  redraw?: unknown[]; // draws again when one of these changes
  level?: 2 | 3;
}

const MOST_ROWS = 500;

export function Picture(props: Props) {
  const { title, sentence, height = 280, draw, table, onTrial } = props;
  const theme = useTheme();
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const marks = useRef<Mark[]>([]);
  const [size, setSize] = useState({ w: 0, dpr: 1 });
  const [at, setAt] = useState<Mark | null>(null);
  const name = fileName(title);
  const asTables = (useRoute().query.get("tables") ?? "").split(",").filter(Boolean);
  const tabled = asTables.includes(name);
  const turn = () => put({ tables: (tabled ? asTables.filter((n) => n !== name) : [...asTables, name]).join(",") });
  const [seen, setSeen] = useState(false);

  useLayoutEffect(() => {
    const element = box.current!;
    const measure = () =>
      setSize({ w: Math.max(props.minWidth ?? 0, Math.floor(element.clientWidth)), dpr: window.devicePixelRatio || 1 });
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    const sight = new IntersectionObserver((entries) => setSeen(entries.some((e) => e.isIntersecting)), {
      rootMargin: "200px",
    });
    sight.observe(element);
    return () => {
      watch.disconnect();
      sight.disconnect();
    };
  }, []);

  useEffect(() => {
    const element = canvas.current;
    if (!element || !size.w || !seen || tabled) return;
    element.width = size.w * size.dpr;
    element.height = height * size.dpr;
    const context = element.getContext("2d")!;
    context.scale(size.dpr, size.dpr);
    context.clearRect(0, 0, size.w, height);
    marks.current = draw(new CanvasSurface(context), size.w, height, theme);
    element.dataset.marks = String(marks.current.length);
    if (at) setAt(marks.current.find((m) => m.trial === at.trial && said(m) === said(at)) ?? null);
  }, [size.w, size.dpr, height, theme, seen, tabled, ...(props.redraw ?? [draw])]);

  const nearest = (event: MouseEvent): Mark | null => {
    const where = canvas.current!.getBoundingClientRect();
    const [x, y] = [event.clientX - where.left, event.clientY - where.top];
    let found: Mark | null = null;
    let least = 24 * 24;
    for (const mark of marks.current) {
      const far = (mark.x - x) ** 2 + (mark.y - y) ** 2;
      if (far < least) [found, least] = [mark, far];
    }
    return found;
  };

  const step = (event: KeyboardEvent) => {
    const all = marks.current;
    if (!all.length) return;
    const order = all.map((_, i) => i).sort((a, b) => all[a].x - all[b].x || all[a].y - all[b].y);
    const now = at ? order.findIndex((i) => all[i] === at) : -1;
    const moves: Record<string, number> = {
      ArrowRight: now + 1,
      ArrowLeft: now - 1,
      Home: 0,
      End: order.length - 1,
      PageDown: now + 10,
      PageUp: now - 10,
    };
    if (event.key in moves) {
      setAt(all[order[Math.min(order.length - 1, Math.max(0, moves[event.key]))]]);
      event.preventDefault();
    } else if (event.key === "Enter" && at?.trial !== undefined) onTrial?.(at.trial);
    else if (event.key === "Escape") setAt(null);
  };

  const paint = (s: Surface) => draw(s, size.w, height, theme);
  const png = () => {
    const large = document.createElement("canvas");
    large.width = size.w * 2;
    large.height = height * 2;
    const context = large.getContext("2d")!;
    context.scale(2, 2);
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, size.w, height);
    paint(new CanvasSurface(context));
    large.toBlob((blob) => blob && save(`${name}.png`, blob));
  };
  const svg = () => {
    const surface = new SvgSurface();
    paint(surface);
    save(`${name}.svg`, new Blob([surface.document(size.w, height, theme.paper)], { type: "image/svg+xml" }));
  };
  const Heading = props.level === 3 ? "h3" : "h2";

  return (
    <figure class="picture" aria-label={title} role="group">
      <div class="picture-head">
        <Heading>{title}</Heading>
        <div class="controls">{props.controls}</div>
        <div class="exports" role="group" aria-label={`Save ${title}`}>
          {table && (
            <button type="button" aria-pressed={tabled} onClick={turn}>
              Table
            </button>
          )}
          <button type="button" onClick={png}>PNG</button>
          <button type="button" onClick={svg}>SVG</button>
          {table && <Csv title={title} table={table} />}
        </div>
      </div>
      <div class="drawing" ref={box}>
        {tabled && table ? (
          <PlainTable table={table()} label={title} height={height} />
        ) : (
          <div
            class="canvas-holder"
            tabIndex={0}
            role="img"
            aria-label={`${title}. ${sentence} ${at ? said(at) : "Arrow keys go through its points."}`}
            style={{ width: size.w ? `${size.w}px` : "100%", height: `${height}px` }}
            onMouseMove={(e) => setAt(nearest(e))}
            onMouseLeave={() => setAt(null)}
            onClick={(e) => {
              const mark = nearest(e);
              setAt(mark);
              if (mark?.trial !== undefined) onTrial?.(mark.trial);
            }}
            onKeyDown={step}
          >
            <canvas ref={canvas} style={{ width: `${size.w}px`, height: `${height}px` }} />
            {at && <Hover mark={at} width={size.w} height={height} />}
          </div>
        )}
      </div>
      <figcaption>{sentence}</figcaption>
    </figure>
  );
}

function Hover({ mark, width, height }: { mark: Mark; width: number; height: number }) {
  const right = mark.x > width / 2;
  const low = mark.y > height / 2;
  return (
    <>
      <span class="ring" style={{ left: `${mark.x - 7}px`, top: `${mark.y - 7}px` }} />
      <span
        class="hover"
        role="status"
        style={{
          [right ? "right" : "left"]: `${right ? width - mark.x + 12 : mark.x + 12}px`,
          [low ? "bottom" : "top"]: `${low ? height - mark.y + 8 : mark.y + 8}px`,
          maxWidth: `${Math.max(140, (right ? mark.x : width - mark.x) - 20)}px`,
        }}
      >
        {said(mark)}
      </span>
    </>
  );
}

const fileName = (title: string): string => title.toLowerCase().replace(/\W+/g, "-");

// The button that saves a table.
export function Csv({ title, table }: { title: string; table: () => Table }) {
  const write = () => {
    const { head, rows } = table();
    save(`${fileName(title)}.csv`, new Blob([csv(head, rows)], { type: "text/csv" }));
  };
  return <button type="button" onClick={write}>CSV</button>;
}

// A table under its title; *children* stand in place of it where its cells are more than text.
export function Tabled({ title, table, height, children }: { title: string; table: Table; height?: number; children?: ComponentChildren }) {
  return (
    <section class="picture" aria-label={title}>
      <div class="picture-head">
        <h2>{title}</h2>
        {table.rows.length > 0 && (
          <div class="exports" role="group" aria-label={`Save ${title}`}>
            <Csv title={title} table={() => table} />
          </div>
        )}
      </div>
      {children ?? <PlainTable label={title} height={height} table={table} />}
    </section>
  );
}

// The class of a cell that does not break: numbers and names stay whole, long texts do not.
export const short = (text: string | null | undefined): string => ((text ?? "").length <= 24 ? "short" : "");

export function PlainTable({ table, label, height }: { table: Table; label: string; height?: number }) {
  const rows = table.rows.slice(0, MOST_ROWS);
  return (
    <div class="table-holder" tabIndex={0} role="region" aria-label={label} style={height ? { maxHeight: `${height}px` } : {}}>
      <table>
        <thead>
          <tr>{table.head.map((name) => <th scope="col">{name}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>
              {row.map((cell) => {
                const text = cell === null || cell === undefined || cell === "" ? "–" : String(cell);
                return <td class={short(text)}>{text}</td>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {table.rows.length > MOST_ROWS && <p>The first {MOST_ROWS} of {table.rows.length} rows: CSV has all.</p>}
    </div>
  );
}
