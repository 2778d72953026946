// What a surrogate expects of two hyperparameters together.
import { useRef } from "preact/hooks";
import { type Study, useAnswer } from "../data";
import { Select } from "../parts";
import { Picture } from "../picture";
import { type Contour, contourPicture } from "../pictures/surrogate";
import { go, link, put } from "../route";
import { shown } from "../selection";
import { cut } from "../words";

export function ContourView({ study, query, order, kept, ended, ready }: { study: Study; query: URLSearchParams; order: string[]; kept: Uint8Array; ended: number; ready: boolean }) {
  const known = (name: string | null) => (name && order.includes(name) ? name : null);
  const first = known(query.get("cx1")) ?? order[0];
  const second = known(query.get("cx2")) ?? order.find((n) => n !== first)!;
  const asked = ready ? JSON.stringify([first, second]) : "";
  const { answer: fresh, error } = useAnswer<Contour>("lesson", { study: study.summary.name, what: "contour", name: asked }, ready ? ended : -1, 4000);
  // The picture before stays until the next one is there.
  const last = useRef<Contour | null>(null);
  if (fresh && !fresh.why_not) last.current = fresh;
  const answer = fresh ?? last.current;
  const controls = (
    <>
      <Select label="across" value={first} options={order.map((n): [string, string] => [n, cut(n, 40)])} onChange={(v) => put({ cx1: v, cx2: v === second ? first : second })} />
      <Select label="up" value={second} options={order.filter((n) => n !== first).map((n): [string, string] => [n, cut(n, 40)])} onChange={(v) => put({ cx1: first, cx2: v })} />
    </>
  );
  if (!answer || answer.why_not)
    return (
      <section class="picture" aria-label="Two together">
        <div class="picture-head"><h2>Two together</h2><div class="controls">{controls}</div></div>
        <p class="caption">{(ready && (answer?.why_not || error)) || "Computing…"}</p>
      </section>
    );
  const kinds = answer.names.map((n) => study.summary.space.find((p) => p.name === n));
  if (kinds.some((k) => !k)) return null; // the space has changed since
  const text = (axis: number, v: number | null) => (kinds[axis]!.kind === "choice" ? shown(kinds[axis]!, v) : v);
  return (
    <Picture
      title="Two together"
      sentence={`What a Gaussian process expects, all else as in trial ${answer.around} (the ring). Warm is good; pale is where few trials have been, so little is known.`}
      height={400}
      controls={controls}
      table={() => ({
        head: [...answer.names, "expected", "width of the 90 % interval"],
        rows: answer.up.flatMap((v, j) => answer.across.map((u, i) => [text(0, u), text(1, v), answer.mean[j][i], answer.width[j][i]])),
      })}
      draw={contourPicture(study, answer, kept)}
      redraw={[study.version, answer, kept]}
      onTrial={(t) => go(link("/trial", { name: study.summary.name, n: t }))}
    />
  );
}
