"""Ctrl-C in a script whose trials run in threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

SCRIPT = """
import signal, sys, threading, time
import {module} as optuna

signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs of a shell have not
optuna.logging.set_verbosity(optuna.logging.ERROR)
together, pressed = threading.Barrier(2), threading.Event()


def objective(trial):
    if trial.number < 2:
        together.wait()
        if trial.number == 0:
            print("both run", flush=True)
        pressed.wait(60)  # the trials that run are not cut short
    else:
        time.sleep(0.05)
    return 1.0


study = optuna.create_study()
threading.Thread(target=lambda: (sys.stdin.readline(), pressed.set()), daemon=True).start()
try:
    study.optimize(objective, n_trials={trials}, n_jobs=2)
except KeyboardInterrupt:
    print("interrupted", len([t for t in study.trials if t.state.name == "COMPLETE"]), flush=True)
"""
TRIALS = 400


def test_ctrl_c_ends_after_the_trials_that_run():
    text = SCRIPT.format(module="luthier.compat.optuna", trials=TRIALS)  # "optuna" does as much
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "both run\n"
        os.kill(process.pid, signal.SIGINT)
        # Whether the signal has come is not to be seen from here, as the main thread waits for the others:
        # so there are trials after the first two, and far more than it takes to come.
        out, _ = process.communicate("go on\n", timeout=120)
    finally:
        process.kill()
        process.wait()
    said, _, completed = out.strip().partition(" ")
    assert said == "interrupted"
    assert 2 <= int(completed) < TRIALS
    assert process.returncode == 0
