"""Runs one peer in its own environment and speaks JSON lines over stdin and stdout.

    PYTHON worker.py ADAPTER      # the stem of an adapter next to this file

The first line is {"space": [...], "kind": ..., "seed": ..., "evaluations": ...}; it is answered with
{"version": ...}. Then {"ask": true} -> {"configuration": {...}, "seconds": ...};
{"tell": loss, or null when it diverged} -> {"seconds": ...}, which ends the last trial asked for;
{"fill": [[configuration, loss], ...]} -> {"seconds": ...}, trials that the peer never asked for.
"""

import importlib
import json
import os
import sys
import time
import warnings


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the peer prints must not end up between the answers
    warnings.simplefilter("ignore")
    adapter = load(sys.argv[1])
    tuner = None
    for line in sys.stdin:
        request = json.loads(line)
        begin = time.perf_counter()
        if tuner is None:
            tuner = adapter.Tuner(
                request["space"], request["kind"], request["seed"], request["evaluations"]
            )
            answer = {"version": adapter.version()}
        elif "ask" in request:
            answer = {"configuration": tuner.ask()}
        elif "fill" in request:
            tuner.fill(request["fill"])
            answer = {}
        else:
            tuner.tell(request["tell"])
            answer = {}
        answer["seconds"] = time.perf_counter() - begin
        answers.write(json.dumps(answer, default=plain) + "\n")
        answers.flush()


def load(name):
    """Import a file next to this one, and have the peer find none of the others in place of its own."""
    here = sys.path.pop(0)
    sys.path.append(os.path.dirname(here))
    return importlib.import_module(f"peers.{name}")


def plain(value):
    """Return numpy's number as Python's."""
    return value.item()


if __name__ == "__main__":
    main()
