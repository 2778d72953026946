// The space: what was searched, and where the best lie.
import type { Study } from "../data";
import type { Mark } from "../plot";
import { shown } from "../selection";
import { cut, number } from "../words";
import { type Draw, gone, ranking } from "./draw";
import { axisOf } from "./hyperparameter";

export function spaces(study: Study, edges: { name: string; side: string; to: number | null }[]): Draw {
  return (s, w, h, theme) => {
    const { summary, columns } = study;
    const all = summary.space;
    const left = Math.min(w * 0.32, 14 + Math.max(...all.map((p) => p.short.length)) * 6.6);
    const row = h / all.length;
    const ranked = ranking(study);
    const top = ranked.slice(0, Math.max(3, Math.ceil(ranked.length / 10)));
    const marks: Mark[] = [];
    all.forEach((p, i) => {
      const own = columns.hyperparameters[p.name] ?? [];
      const scale = axisOf(p, own);
      const first = summary.first_space.find((one) => one.name === p.name);
      const y = row * i + row * 0.5;
      const [a, b] = [left + 60, w - 66];
      const x = (v: number) => a + Math.min(1, Math.max(0, scale.place(v))) * (b - a);
      s.text(left - 8, y, cut(p.short, Math.floor((left - 12) / 6.9)), { fill: theme.ink, anchor: "end", size: 11.5 });
      const bins = new Float64Array(scale.kind === "category" ? scale.options!.length : 40);
      const goodBins = new Float64Array(bins.length);
      const bin = (v: number) => Math.min(bins.length - 1, Math.max(0, Math.floor(scale.place(v) * bins.length)));
      own.forEach((v, t) => {
        if (v !== null && !gone(scale, v) && columns.repeats[t] < 0) bins[bin(v)]++;
      });
      for (const t of top) if (own[t] !== null && !gone(scale, own[t]!)) goodBins[bin(own[t]!)]++;
      const tallest = Math.max(1, ...bins);
      const goodTallest = Math.max(1, ...goodBins);
      const thick = Math.min(26, row * 0.7);
      const wide = (b - a) / bins.length;
      s.rect(a, y - thick / 2, b - a, thick, { fill: theme.grid, alpha: 0.45 });
      if (scale.kind !== "category" && first && (first.low !== p.low || first.high !== p.high)) {
        s.rect(x(p.low!), y - thick / 2, x(p.high!) - x(p.low!), thick, { stroke: theme.accent, width: 1.2 });
        s.line([x(first.low!), y + thick / 2 + 3, x(first.high!), y + thick / 2 + 3], { stroke: theme.dim, width: 2 });
      }
      bins.forEach((n, k) => {
        if (n) s.rect(a + k * wide + 0.5, y + thick / 2 - (n / tallest) * thick, wide - 1, (n / tallest) * thick, { fill: theme.states.stopped, alpha: 0.5 });
        const good = goodBins[k];
        if (good) s.rect(a + k * wide + 0.5, y + thick / 2 - (good / goodTallest) * thick * 0.9, wide - 1, (good / goodTallest) * thick * 0.9, { fill: theme.best, alpha: 0.6 });
      });
      const ends = scale.kind === "category" ? [scale.options![0], scale.options!.at(-1)!] : [number(scale.low, 3), number(scale.high, 3)];
      const crowded = edges.filter((e) => e.name === p.name);
      const hot = (side: string) => crowded.some((e) => e.side === side);
      s.text(a - 6, y, cut(ends[0], 9), { fill: hot("low") ? theme.bad : theme.dim, anchor: "end", bold: hot("low"), size: 10.5 });
      s.text(b + 6, y, cut(ends[1], 9), { fill: hot("high") ? theme.bad : theme.dim, bold: hot("high"), size: 10.5 });
      if (hot("low")) s.rect(a, y - thick / 2, 4, thick, { fill: theme.bad });
      if (hot("high")) s.rect(b - 4, y - thick / 2, 4, thick, { fill: theme.bad });
      const best = summary.best_trial;
      const where = best !== null && own[best] !== null && own[best] !== undefined && !gone(scale, own[best]!) ? x(own[best]!) : NaN;
      if (!Number.isNaN(where)) s.line([where, y - thick / 2 - 2, where, y + thick / 2 + 2], { stroke: theme.ink, width: 2 });
      marks.push({
        x: Number.isNaN(where) ? (a + b) / 2 : where,
        y,
        text: `${p.name}\n${scale.kind === "category" ? (p.options ?? []).join(", ") : `${number(p.low!)} to ${number(p.high!)}, ${p.scale === "one_minus_log" ? "log of 1 − x" : p.scale}`}${best !== null && !Number.isNaN(where) ? `\nbest: ${shown(p, own[best])}` : ""}${p.condition.map(([n, v]) => `\nonly with ${n} ${v.join(" or ")}`).join("")}`,
      });
    });
    return marks;
  };
}
