// A note that one may write on a trial or a study.
import { useState } from "preact/hooks";
import { Card, Said, useWish } from "../parts";
import { when } from "../words";

export function Note({ study, trial, note, who, time, steers }: { study: string; trial?: number; note: string; who?: string; time?: number | null; steers: boolean }) {
  const [text, set] = useState<string | null>(null);
  const { send, said } = useWish();
  const keep = async () => {
    if (await send({ study, action: "note", text: text ?? "", ...(trial === undefined ? {} : { trial }) })) set(null);
  };
  return (
    <Card title="Note">
      {text === null ? (
        <>
          <p class="note">{note || "–"}</p>
          {note && (who || time) && <p class="dim">{who && `by ${who}`}{who && time ? ", " : ""}{time ? when(time) : ""}</p>}
          {steers && <button type="button" onClick={() => set(note)}>{note ? "Change" : "Write one"}</button>}
        </>
      ) : (
        <>
          <textarea aria-label="Note" rows={3} value={text} onInput={(e) => set((e.target as HTMLTextAreaElement).value)} />
          <button type="button" class="main" onClick={keep}>Keep</button> <button type="button" onClick={() => set(null)}>Leave</button>
        </>
      )}
      <Said said={said} />
    </Card>
  );
}
