// The learning rate's range test: where the loss falls, how fast, and where it climbs again.
import { useAnswer } from "../data";
import { Card } from "../parts";
import { Picture } from "../picture";
import type { Draw } from "../pictures/draw";
import { frame, type Mark } from "../plot";
import { scaled } from "../scales";
import type { Theme } from "../theme";
import { number } from "../words";
import type { View } from "./view";

type Name = "steepest" | "minimum" | "divergence" | "suggestion" | "low" | "high";

interface RangeTest {
  rates: number[];
  sweeps: (number | null)[][];
  of: number;
  smoothed: number[];
  marks: Record<Name, number | null>;
  problem: string;
  words: string;
  why_not?: string;
}

interface Searched {
  name: string;
  low: number;
  high: number;
}

const LINES: [Name, string, (theme: Theme) => string, number[]][] = [
  ["steepest", "steepest", (t) => t.accent, [2, 3]],
  ["minimum", "minimum", (t) => t.accent, [7, 4]],
  ["divergence", "diverges", (t) => t.bad, [6, 3, 2, 3]],
  ["suggestion", "suggestion", (t) => t.best, []],
];

function rangePicture(test: RangeTest, searched: Searched[]): Draw {
  return (s, w, h, theme) => {
    const [low, high] = [Math.min(...test.smoothed), Math.max(...test.smoothed)];
    const air = 0.15 * (high - low) || 0.5;
    // Their names take turns on two lines above, in a narrow picture on four, so that near ones do not overlap.
    const named = LINES.map(([name, label, colour, dash]) => ({ label, colour, dash, at: test.marks[name] }))
      .filter((one) => one.at !== null)
      .sort((a, b) => a.at! - b.at!);
    const lines = w < 560 ? Math.max(1, named.length) : 2;
    const f = frame(s, w, h, theme, {
      x: scaled("log", test.rates[0], test.rates[test.rates.length - 1]),
      y: scaled("linear", low - air, high + air),
      xLabel: "learning rate",
      yLabel: "training loss of a batch",
      top: 8 + 16 * lines,
    });
    const marks: Mark[] = [];
    s.clip(f.left, f.top, f.width, f.height, () => {
      const { low: from, high: to } = test.marks;
      if (from !== null && to !== null) s.rect(f.x(from), f.top, f.x(to) - f.x(from), f.height, { fill: theme.best, alpha: 0.1 });
      searched.forEach((r, i) => {
        const y = f.top + f.height - 8 - 8 * i;
        s.line([f.x(r.low), y, f.x(r.high), y], { stroke: theme.dim, width: 4, alpha: 0.8 });
      });
      for (const sweep of test.sweeps)
        s.line(sweep.flatMap((v, i) => [f.x(test.rates[i]), v === null ? NaN : f.y(v)]), { stroke: theme.states.stopped, width: 0.8, alpha: 0.55 });
      s.line(test.smoothed.flatMap((v, i) => [f.x(test.rates[i]), f.y(v)]), { stroke: theme.accent, width: 2.4 });
    });
    test.smoothed.forEach((v, i) => marks.push({ x: f.x(test.rates[i]), y: f.y(v), text: `rate ${number(test.rates[i], 3)}\nloss ${number(v, 4)}` }));
    named.forEach(({ label, colour, dash, at }, i) => {
      const x = f.x(at!);
      s.line([x, f.top, x, f.top + f.height], { stroke: colour(theme), dash, width: 1.5 });
      const text = `${label} ${number(at, 2)}`;
      const half = text.length * 3.1;
      s.text(Math.min(w - half - 2, Math.max(half + 2, x)), 12 + 16 * (i % lines), text, { fill: colour(theme), anchor: "middle", size: 10.5 });
    });
    return marks;
  };
}

export function LearningRate({ view }: { view: View }) {
  const { summary, version } = view.study;
  const { answer, error } = useAnswer<RangeTest>("lesson", { study: summary.name, what: "range" }, version, 3000);
  if (error) return <p class="wrong" role="alert">{error}</p>;
  if (!answer) return <p class="wait">Reading the range test…</p>;
  if (answer.why_not)
    return (
      <p class="empty">
        No range test is kept in this study. <code>luthier.keras.find_learning_rate(...)</code>, or that of <code>luthier.torch</code> or{" "}
        <code>luthier.jax</code>, makes one, and its <code>.keep(study)</code> shows it here.
      </p>
    );
  const searched = summary.space
    .filter((p) => p.scale === "log" && /(^|_)(learning_)?(rate|lr)$/i.test(p.short))
    .map((p) => ({ name: p.name, low: p.low!, high: p.high! }))
    .slice(0, 4);
  const { marks } = answer;
  return (
    <>
      <div class="cards">
        <Card title="Suggested rate" kind={answer.problem ? "warn" : "good"}>
          <p class="large">{number(marks.suggestion, 2)}</p>
          <p class="dim">where most of the loss's fall is done</p>
        </Card>
        <Card title="Range to search">
          <p class="large">{marks.low === null || marks.high === null ? "–" : `${number(marks.low, 2)} to ${number(marks.high, 2)}`}</p>
          {searched.map((r) => (
            <p class="dim">searched as {r.name}: {number(r.low, 2)} to {number(r.high, 2)}</p>
          ))}
        </Card>
        <Card title="Read off the curve">
          <p class="dim">steepest {number(marks.steepest, 2)}, minimum {number(marks.minimum, 2)}, diverges {marks.divergence === null ? "nowhere" : `from ${number(marks.divergence, 2)}`}</p>
          {answer.problem && <p>The curve is {answer.problem}.</p>}
        </Card>
      </div>
      <Picture
        title="Learning-rate range test"
        sentence={answer.words + (searched.length ? " The bar below is the range that this study searches." : "")}
        height={380}
        table={() => ({
          head: ["rate", "smoothed loss", ...answer.sweeps.map((_, i) => `sweep ${i + 1}`)],
          rows: answer.rates.map((r, i) => [r, answer.smoothed[i], ...answer.sweeps.map((sweep) => sweep[i])]),
        })}
        draw={rangePicture(answer, searched)}
        redraw={[answer, version]}
      />
    </>
  );
}
