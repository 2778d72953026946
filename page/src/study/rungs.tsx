// Who climbed which rung.
import { useAnswer } from "../data";
import { Select, Toggle } from "../parts";
import { Picture, PlainTable } from "../picture";
import { ladder, type Ladder } from "../pictures/ladder";
import { put } from "../route";
import { many } from "../words";
import { open, type View } from "./view";

export function Rungs({ view }: { view: View }) {
  const { study, query } = view;
  const { answer, error } = useAnswer<Ladder>("ladder", { study: study.summary.name }, study.version, 2000);
  const log = query.get("log") === "1";
  if (error) return <p class="wrong" role="alert">{error}</p>;
  if (!answer) return <p class="wait">Climbing…</p>;
  if (!answer.brackets.length)
    return <p class="empty">No rungs: {answer.scheduler ? `the scheduler ${answer.scheduler}` : "this study"} has not sorted any trial out between epochs yet.</p>;
  const asked = Number(query.get("bracket") ?? answer.brackets[0].bracket);
  const bracket = answer.brackets.find((b) => b.bracket === asked) ?? answer.brackets[0];
  const spent = bracket.rungs.reduce((sum, r, i) => sum + r.arrived * (r.step - (bracket.rungs[i - 1]?.step ?? 0)), 0);
  const full = bracket.trials * bracket.rungs[bracket.rungs.length - 1].step;
  return (
    <>
      <Picture
        title="Rung ladder"
        sentence={
          `Bracket ${bracket.name}: ${many(bracket.trials, "trial")}, about ${spent} epochs in place of the ${full} ` +
          `that training all of them to the end takes. The broken line is the worst value with which a trial went on.`
        }
        height={440}
        minWidth={Math.min(900, bracket.rungs.length * 90 + 60)}
        controls={
          <>
            {answer.brackets.length > 1 && (
              <Select
                label="bracket"
                value={String(bracket.bracket)}
                options={answer.brackets.map((b): [string, string] => [String(b.bracket), `${b.name} (${b.rungs.map((r) => r.arrived).join(" › ")})`])}
                onChange={(v) => put({ bracket: v })}
              />
            )}
            <Toggle label="log" on={log} onChange={(on) => put({ log: on ? "1" : null })} />
          </>
        }
        table={() => ({
          head: ["rung", "epoch", "trial", "value", "fate"],
          rows: bracket.rungs.flatMap((r, k) => r.trial.map((t, i) => [k + 1, r.step, t, r.value[i], r.fate[i]])),
        })}
        draw={ladder(bracket, study, log)}
        redraw={[answer, bracket.bracket, log]}
        onTrial={open(study)}
      />
      <section class="picture" aria-label="All brackets">
        <div class="picture-head"><h2>All brackets</h2></div>
        <PlainTable
          label="All brackets"
          height={340}
          table={{
            head: ["bracket", "rungs", "trials", "arrived at each rung"],
            rows: answer.brackets.map((b) => [b.name, b.rungs.map((r) => r.step).join(" › "), b.trials, b.rungs.map((r) => (r.planned ? `${r.arrived}/${r.planned}` : r.arrived)).join(" › ")]),
          }}
        />
        {answer.hidden > 0 && <p class="caption">{answer.hidden} earlier brackets are left out.</p>}
      </section>
    </>
  );
}
