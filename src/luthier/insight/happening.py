"""What happened, in a line: the log's events in words."""

from __future__ import annotations

from typing import Any

from luthier.study import events as ev


def happening(event: ev.AnyEvent) -> dict[str, Any] | None:
    """Return an event's kind and text, with who and about which trial; None for what happens all the time."""
    match event:
        case ev.StudyCreated():
            return {"kind": "created", "text": "the study began"}
        case ev.StudyPaused() | ev.StudyStopped() | ev.StudyContinued():
            word = {"study paused": "paused", "study stopped": "stopped"}.get(
                _tag(event), "goes on"
            )
            return _by(event, "steered", f"the study {word}", event.reason)
        case ev.BudgetSet():
            limits = f"{event.trials or 'any number of'} trials, {event.epochs or 'any number of'} epochs"
            return _by(event, "steered", f"budget: {limits}", event.reason)
        case ev.RaceSet():
            return _by(event, "steered", f"a race of {event.finalists} finalists", event.reason)
        case ev.SpaceChanged():
            if event.itself:
                text = f"the space was widened: {event.reason}"
                return {"kind": "stage", "text": text}
            return _by(event, "steered", "the space was changed", event.reason)
        case ev.WideningSet():
            may = "may widen" if event.allowed else "may not widen"
            return _by(event, "steered", f"the study {may} its space by itself", event.reason)
        case ev.Enqueued():
            return _by(event, "steered", "a configuration was enqueued", "")
        case ev.NoteTaken():
            about = "the study" if event.trial < 0 else f"trial {event.trial}"
            return {**_by(event, "note", f"note on {about}", event.text), "trial": event.trial}
        case ev.TrialStopped() if event.who:
            said = _by(event, "steered", f"trial {event.trial} was pruned", event.reason)
            return {**said, "trial": event.trial}
        case ev.TrialFailed():
            text = f"trial {event.trial} failed ({event.kind}): {event.message[:200]}"
            return {"kind": "failed", "text": text, "trial": event.trial}
        case ev.TrialDiverged():
            text = f"trial {event.trial} diverged: {event.metric} at step {event.step}"
            return {"kind": "diverged", "text": text, "trial": event.trial}
        case ev.WorkerLost():
            text = f"trial {event.trial} lost its worker: {event.cause[:200]}"
            return {"kind": "lost", "text": text, "trial": event.trial}
        case ev.TrialRequeued():
            return {
                "kind": "requeued",
                "text": f"trial {event.trial}: {event.reason[:200]}",
                "trial": event.trial,
            }
        case ev.StageBegun():
            return {"kind": "stage", "text": f"stage {event.stage + 1} began: {event.name}"}
        case ev.StageConcluded():
            text = f"stage {event.stage + 1} ended: {event.words[:300]}"
            return {"kind": "stage", "text": text}
        case ev.TestRead():
            return {
                "kind": "test",
                "text": f"trial {event.trial} was measured on the test set by {event.who}",
                "trial": event.trial,
            }
        case _:
            return None


def of_trial(event: ev.AnyEvent) -> dict[str, Any] | None:
    """Return what an event says on its trial's own page: kind, text, and who; None for one of no trial."""
    match event:
        case ev.TrialProposed():
            text = "proposed" + (", as somebody had asked for it" if event.enqueued else "")
            if event.parent >= 0:
                text += f", to go on from trial {event.parent} after epoch {event.start}"
            if event.repeats >= 0:
                text += f", to repeat trial {event.repeats} on another seed"
            return {"kind": "proposed", "text": text}
        case ev.JobLeased():
            to = f" to {event.to_step}" if event.to_step else " on"
            text = f"given to {worker_of(event.holder)}, epochs {event.from_step + 1}{to}"
            return {"kind": "leased", "text": text}
        case ev.JobReleased():
            text = f"given back ({event.cause})" + (f": {event.reason}" if event.reason else "")
            return {"kind": "released", "text": text}
        case ev.TrialPaused():
            return {"kind": "paused", "text": f"waits after epoch {event.step}"}
        case ev.TrialCompleted():
            return {"kind": "completed", "text": f"completed after epoch {event.step}"}
        case ev.TrialStopped():
            return {
                "kind": "stopped",
                "text": f"stopped after epoch {event.step}: {event.reason}",
                "who": event.who,
            }
        case ev.TrialRequeued():
            return {"kind": "requeued", "text": f"put back ({event.cause}): {event.reason[:200]}"}
        case ev.ConfigurationSettled():
            return {"kind": "settled", "text": "its training settled what was left open"}
        case ev.AttributeSet() if event.trial >= 0:
            return {"kind": "attribute", "text": f"{event.name}: {str(event.value)[:200]}"}
        case _:
            return happening(event)


def worker_of(holder: ev.Holder) -> str:
    """Return which worker this is, as host:pid, and .instance where a process has several."""
    several = f".{holder.instance}" if holder.instance > 1 else ""
    return f"{holder.host}:{holder.pid}{several}"


def _tag(event: ev.AnyEvent) -> str:
    return str(event.__struct_config__.tag)


def _by(event: Any, kind: str, text: str, reason: str) -> dict[str, Any]:
    return {"kind": kind, "text": text + (f": {reason}" if reason else ""), "who": event.who}
