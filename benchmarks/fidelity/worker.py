"""Runs one multi-fidelity peer in its own environment and speaks JSON lines over stdin and stdout.

    PYTHON worker.py fidelity.NAME_adapter

The first line is {"kind": ..., "setting": {...}} (see ``fidelity.Setting``), answered with
{"version": ...}. Then {"ask": true} -> {"job": [trial, configuration, from_step, to_step]} or
{"none": "wait" or "done"}; {"report": [trial, step, loss, or null when it diverged]} ->
{"goes_on": ...}. Each answer has the "seconds" that it took.
"""

import importlib
import json
import os
import sys
import time
import warnings


def main():
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the peer prints must not end up between the answers
    warnings.simplefilter("ignore")
    # At the end, or the peer might find a file of ours in place of its own.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.pop(0)
    from fidelity import Setting

    adapter, tuner = importlib.import_module(sys.argv[1]), None
    for line in sys.stdin:
        request = json.loads(line)
        begin = time.perf_counter()
        if tuner is None:
            tuner = adapter.Tuner(request["kind"], Setting(**request["setting"]))
            answer = {"version": adapter.version()}
        elif "ask" in request:
            job = tuner.ask()
            answer = {"none": job} if isinstance(job, str) else {"job": job}
        else:
            answer = {"goes_on": bool(tuner.report(*request["report"]))}
        answer["seconds"] = time.perf_counter() - begin
        answers.write(json.dumps(answer, default=plain) + "\n")
        answers.flush()


def plain(value):
    """Return numpy's number as Python's."""
    return value.item()


if __name__ == "__main__":
    main()
