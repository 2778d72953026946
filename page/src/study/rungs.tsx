// Who climbed which rung.
import { useAnswer } from "../data";
import { Select, Toggle } from "../parts";
import { Picture, Tabled } from "../picture";
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
  return (
    <>
      <Picture
        title="Rung ladder"
        sentence={
          `Bracket ${bracket.name}: ${many(bracket.trials, "trial")}, about ${bracket.spent} epochs in place of the ${bracket.full} ` +
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
      <Tabled
        title="All brackets"
        height={340}
        table={{
          head: ["bracket", "rungs", "trials", "arrived at each rung", "epochs", "to train all"],
          rows: answer.brackets.map((b) => [b.name, b.rungs.map((r) => r.step).join(" › "), b.trials, b.rungs.map((r) => (r.planned ? `${r.arrived} of ${r.planned}` : r.arrived)).join(" › "), b.spent, b.full]),
        }}
      />
      {answer.hidden > 0 && <p class="caption">{many(answer.hidden, "earlier bracket")} left out.</p>}
    </>
  );
}
