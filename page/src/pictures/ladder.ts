// The rung ladder of one bracket.
import type { Study } from "../data";
import { cross, type Entry, frame, key, keyHeight, type Mark, nothing } from "../plot";
import { category } from "../scales";
import { cut, number } from "../words";
import { type Draw, inside, valueScale } from "./draw";

export interface Ladder {
  brackets: {
    bracket: number;
    name: string;
    trials: number;
    spent: number; // epochs
    full: number;
    rungs: {
      step: number;
      planned: number;
      arrived: number;
      promoted: number;
      trial: number[];
      place: number[]; // of each among all who arrived: of very many not all are sent
      value: (number | null)[];
      fate: string[];
      cut: number | null;
    }[];
  }[];
  hidden: number;
  scheduler: string;
}

export function ladder(bracket: Ladder["brackets"][number], study: Study, log: boolean): Draw {
  return (s, w, h, theme) => {
    const { rungs } = bracket;
    const { metric, direction } = study.summary.objectives[0];
    const values = rungs.flatMap((r) => r.value);
    if (!values.some((v) => v !== null)) return nothing(s, w, h, theme, "Nobody has arrived at a rung yet.");
    const y = valueScale(values, direction, log);
    const colours: Record<string, string> = {
      promoted: theme.accent,
      ended: theme.best,
      waits: theme.states.paused,
      stopped: theme.states.stopped,
    };
    const entries: Entry[] = [["went on", colours.promoted], ["stopped", colours.stopped], ["waits", colours.waits], ["trained to its end", colours.ended]];
    const x = category(rungs.map((r) => `epoch ${r.step}`));
    const f = frame(s, w, h, theme, { x, y, yLabel: metric, top: 14 + keyHeight(entries, w - 60), bottom: 44 });
    const places = new Map<string, [number, number]>();
    const marks: Mark[] = [];
    const wide = f.width / rungs.length;
    rungs.forEach((rung, r) => {
      const middle = f.x(r);
      rung.trial.forEach((trial, k) => {
        const v = rung.value[k];
        const spread = rung.trial.length > 1 ? ((k * 0.618034) % 1) - 0.5 : 0;
        const px = middle + spread * Math.min(wide * 0.5, 70);
        places.set(`${r}:${trial}`, [px, v === null ? f.top + 2 : inside(f, f.y(v))]);
      });
    });
    rungs.forEach((rung, r) => {
      if (r + 1 < rungs.length)
        for (const trial of rung.trial) {
          const [from, to] = [places.get(`${r}:${trial}`)!, places.get(`${r + 1}:${trial}`)];
          if (to) s.line([...from, ...to], { stroke: theme.accent, alpha: 0.35 });
        }
    });
    rungs.forEach((rung, r) => {
      const middle = f.x(r);
      if (rung.cut !== null) {
        const py = inside(f, f.y(rung.cut));
        s.line([middle - wide * 0.38, py, middle + wide * 0.38, py], { stroke: theme.ink, dash: [4, 3], alpha: 0.7 });
      }
      rung.trial.forEach((trial, k) => {
        const [px, py] = places.get(`${r}:${trial}`)!;
        const fate = rung.fate[k];
        if (rung.value[k] === null) cross(s, px, py, 3, theme.states.diverged);
        else s.circle(px, py, 3.6, { fill: colours[fate], alpha: fate === "stopped" ? 0.65 : 0.95 });
        const why = study.columns.reasons[study.columns.reason[trial]] ?? "";
        const rank = `place ${rung.place[k]} of ${rung.arrived} at epoch ${rung.step}`;
        marks.push({
          x: px,
          y: py,
          trial,
          text: `trial ${trial}: ${fate}\n${metric} ${number(rung.value[k], 5)}, ${rank}${why && fate === "stopped" ? `\n${why}` : ""}`,
        });
      });
      const count = rung.planned ? `${rung.arrived} of ${rung.planned}` : String(rung.arrived);
      s.text(middle, f.top + f.height + 29, cut(`${count} in, ${rung.promoted} on`, Math.floor(wide / 5.6)), { fill: theme.dim, anchor: "middle", size: 10.5 });
    });
    key(s, theme, f.left + 4, 11, entries, w - 60);
    return marks;
  };
}
