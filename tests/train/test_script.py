"""Scripts as training code: where their metrics come from, how they end, and how they go on."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import luthier as lt
from luthier.errors import TrialError
from luthier.run.worker import work
from luthier.train.script import Script
from luthier.train.script.command import read_command
from luthier.train.script.listener import Listener
from luthier.train.script.process import Process

SPACE = lt.Space(x=lt.Float(0.0, 1.0))


def script_of(tmp_path, text, *arguments, interpreter=sys.executable, **settings):
    path = tmp_path / "script"
    path.write_text(textwrap.dedent(text))
    command, space = read_command([interpreter, str(path), *arguments], SPACE)
    settings = {"metrics": ("loss",), "grace": 2.0, **settings}
    return Script(command, place=str(tmp_path / "place"), **settings), space


def tuned(tmp_path, text, *arguments, max_trials=2, scheduler=None, epochs=None, **settings):
    script, space = script_of(tmp_path, text, *arguments, **settings)
    study = lt.open(
        "s",
        space,
        minimize="loss",
        storage=tmp_path / "s.db",
        max_trials=max_trials,
        scheduler=scheduler,
        epochs=epochs,
        searcher="random",
    )
    work(study, script)
    return study


PRINTS = """
    import json, sys
    x = float(sys.argv[sys.argv.index("--x") + 1])
    print("a line of something else {")
    for step in range(1, 4):
        print(json.dumps({"loss": x + 1 / step, "name": "net"}))
"""


def test_printed_lines_of_json(tmp_path):
    study = tuned(tmp_path, PRINTS)
    for trial in study.trials:
        x = trial.configuration["x"]
        assert list(trial.steps) == [1, 2, 3]
        assert list(trial.losses) == pytest.approx([x + 1, x + 1 / 2, x + 1 / 3])
        assert trial.state == "completed"
    log = tmp_path / "place" / "trial-00000" / "log.txt"
    assert "a line of something else {" in log.read_text()


def test_any_language_with_steps_of_its_own(tmp_path):
    text = """
    #!/bin/sh
    for step in 2 4 6; do
        echo "::luthier {\\"step\\": $step, \\"loss\\": 0.$step}"
    done
    """
    study = tuned(tmp_path, text, interpreter="sh", max_trials=1)
    assert list(study.trials[0].steps) == [2, 4, 6]
    assert list(study.trials[0].losses) == [0.2, 0.4, 0.6]


def test_metrics_on_lines_of_their_own_are_gathered(tmp_path):
    text = """
    for step in range(2):
        print('{"accuracy": 0.5}')
        print('{"loss": %d}' % step)
    """
    study = tuned(tmp_path, text, max_trials=1)
    assert study.trials[0].metrics == [
        {"accuracy": 0.5, "loss": 0.0},
        {"accuracy": 0.5, "loss": 1.0},
    ]


def test_patterns(tmp_path):
    text = """
    print("1/1 - accuracy: 0.81 - loss: 0.93 - val_accuracy: 0.70")
    print("1/1 - accuracy: 0.91 - loss: nan, done")
    """
    patterns = {"loss": r"\bloss: (\S+)", "val": r"val_accuracy: (\S+)"}
    study = tuned(tmp_path, text, max_trials=1, patterns=patterns)
    assert study.trials[0].metrics[0] == {"loss": 0.93, "val": 0.7}
    assert study.trials[0].state == "diverged"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.jsonl", 'print(json.dumps({"loss": 1 / n, "step": n}), file=out, flush=True)'),
        ("m.csv", 'print("epoch,loss" * (n == 1) + f"\\n{n - 1},{1 / n}", file=out, flush=True)'),
    ],
)
def test_files_that_grow(tmp_path, name, text):
    body = f"""
    import json, sys, time
    with open(sys.argv[1], "a") as out:
        for n in range(1, 4):
            {text}
            time.sleep(0.15)
    """
    where = f"{{trial.folder}}/{name}"
    study = tuned(tmp_path, body, where, metrics_file=where, max_trials=2)
    for trial in study.trials:
        assert list(trial.losses) == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_file_that_is_written_once(tmp_path):
    text = """
    import json, sys
    json.dump({"loss": 0.5, "accuracy": None}, open(sys.argv[1], "w"), indent=1)
    """
    shared = str(tmp_path / "m.json")  # what trial 0 left there is not trial 1's
    study = tuned(tmp_path, text, shared, metrics_file=shared, max_trials=1)
    assert study.trials[0].losses[0] == 0.5
    assert study.trials[0].curve("accuracy")[0] != study.trials[0].curve("accuracy")[0]  # NaN


def test_tensorboard(tmp_path):
    text = """
    import sys
    from pathlib import Path
    from luthier.train.event_files import event, first_event, record, simple_value
    folder = Path(sys.argv[1]); folder.mkdir()
    with open(folder / "events.out.tfevents.1", "wb") as out:
        out.write(record(first_event()))
        for n in range(3):
            out.write(record(event(n * 100, simple_value("loss", 1 / (n + 1)))))
            out.write(record(event(n * 100, simple_value("accuracy", n / 2))))
    """
    where = "{trial.folder}/board"
    study = tuned(tmp_path, text, where, tensorboard=where, max_trials=1)
    assert study.trials[0].metrics == [
        {"loss": pytest.approx(1 / (n + 1)), "accuracy": n / 2} for n in range(3)
    ]
    assert list(study.trials[0].steps) == [1, 2, 3]


REPORTS = """
    import os, luthier, signal, subprocess, sys, time, pathlib
    x = float(sys.argv[sys.argv.index("--x") + 1])
    child = subprocess.Popen(["sleep", "60"])
    folder = pathlib.Path(os.environ["LUTHIER_FOLDER"])
    (folder / "child").write_text(str(child.pid))
    def told(*_):
        (folder / "told").write_text("SIGTERM")
        sys.exit(3)
    signal.signal(signal.SIGTERM, told)
    last = int(os.environ["LUTHIER_EPOCHS"]) - 1
    for epoch in range(last + 1):
        if not luthier.report(loss=x) and epoch < last:
            # In pieces: a signal between Python's last look and the system call waits for the call's end.
            for _ in range(6000):
                time.sleep(0.01)
    (folder / "ended").write_text("")
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.processes
def test_the_client_and_pruning_by_signal(tmp_path):
    script, space = script_of(tmp_path, REPORTS)
    study = lt.open(
        "s", space, minimize="loss", storage=tmp_path / "s.db", max_trials=4,
        scheduler=lt.MedianStopping(epochs=5), searcher="random",
    )  # fmt: skip
    for x in (0.1, 0.2, 0.3, 0.9):
        study.enqueue({"x": x})
    work(study, script)
    assert [trial.state for trial in study.trials] == ["completed"] * 3 + ["stopped"]
    assert study.trials[3].step < 5
    place = tmp_path / "place"
    assert (place / "trial-00003" / "told").read_text() == "SIGTERM"
    assert not (place / "trial-00000" / "told").exists()
    assert (place / "trial-00000" / "ended").exists()
    until = time.monotonic() + 5
    children = [int((place / f"trial-0000{n}" / "child").read_text()) for n in range(4)]
    while any(map(alive, children)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, children))  # its whole process group


@pytest.mark.processes
def test_who_ignores_sigterm_is_killed_after_the_grace_period(tmp_path):
    text = """
    import signal, time, json
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(json.dumps({"loss": 1.0, "step": 1}))
    time.sleep(60)
    """
    begin = time.monotonic()
    study = tuned(tmp_path, text, max_trials=1, scheduler=None, epochs=1, grace=0.3)
    assert study.trials[0].state == "completed"
    assert time.monotonic() - begin < 30  # and not the 60 s that it would sleep


GOES_ON = """
    import json, os, pathlib
    checkpoint = pathlib.Path(os.environ["LUTHIER_CHECKPOINT"]) / "epoch"
    begin = int(checkpoint.read_text()) if checkpoint.exists() else 0
    assert begin == int(os.environ["LUTHIER_FROM_EPOCH"]), begin
    import luthier
    with open(os.path.join(os.environ["LUTHIER_FOLDER"], "trained"), "a") as out:
        for epoch in range(begin, int(os.environ["LUTHIER_EPOCHS"])):
            print(epoch + 1, file=out, flush=True)
            checkpoint.write_text(str(epoch + 1))
            if not luthier.report(loss=1 / (epoch + 1), step=epoch + 1):
                break
"""


@pytest.mark.parametrize("scheduler", ["hyperband", "auto"])
def test_promoted_scripts_go_on_from_their_checkpoints(tmp_path, scheduler):
    study = tuned(tmp_path, GOES_ON, scheduler=scheduler, epochs=9, max_trials=9)
    furthest = 0
    for trial in study.trials:
        trained = (tmp_path / "place" / f"trial-{trial.number:05d}" / "trained").read_text().split()
        assert list(map(int, trained)) == list(range(1, trial.step + 1))  # each epoch once
        furthest = max(furthest, trial.step)
    assert furthest == 9
    assert study.history.epochs == sum(t.step for t in study.trials)
    best = study.checkpoints.path(study.best.number, study.best.best_step)
    assert (best / "epoch").read_text() == str(study.best.best_step)


def test_without_checkpoints_auto_stops_in_place_of_pausing(tmp_path):
    study = tuned(tmp_path, PRINTS.replace("range(1, 4)", "range(1, 10)"), max_trials=8,
                  scheduler="auto", epochs=9)  # fmt: skip
    assert {str(trial.state) for trial in study.trials} == {"completed", "stopped"}
    assert not any(trial.checkpoint for trial in study.trials)


def test_an_error_shows_the_end_of_what_was_printed(tmp_path):
    with pytest.raises(TrialError, match=r"exit code 1 in trial 0(.|\n)*ValueError: no such layer"):
        tuned(tmp_path, "raise ValueError('no such layer')")


def test_an_error_that_is_printed_is_shown_with_what_stderr_has(tmp_path):
    text = """
    import sys
    print("a warning of some library", file=sys.stderr)
    print("epoch 1")
    print("Fatal: no such layer")
    sys.exit(2)
    """
    words = (
        r"exit code 2(.|\n)*On stdout:\nepoch 1\nFatal: no such layer(.|\n)*On stderr:\na warning"
    )
    with pytest.raises(TrialError, match=words):
        tuned(tmp_path, text)


@pytest.mark.parametrize("where", ["sys.stdout", "sys.stderr"])
def test_out_of_memory_is_found_wherever_it_is_printed(tmp_path, where):
    text = f"""
    import sys
    print("epoch 1")
    print("torch.OutOfMemoryError: CUDA out of memory", file={where})
    print("1 warning", file=sys.stderr)
    print("done", file=sys.stdout)
    sys.exit(1)
    """
    study = tuned(tmp_path, text, max_trials=1)
    assert [t.kind for t in study.trials] == ["out of memory"]


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(137)"])
def test_who_the_kernel_killed_for_memory_ran_out_of_it(tmp_path, monkeypatch, end):
    """137: a shell tells of its child."""
    kills = iter(range(9))
    monkeypatch.setattr("luthier.train.script.memory_kills", lambda: next(kills))
    study = tuned(tmp_path, f"import os, signal; {end}", max_trials=1)
    assert [t.kind for t in study.trials] == ["out of memory"]


def test_out_of_memory_is_information(tmp_path):
    study = tuned(tmp_path, "raise MemoryError('8 GB')", max_trials=2)
    assert [(t.state, t.kind) for t in study.trials] == [("failed", "out of memory")] * 2


def test_no_objective_names_what_there_was(tmp_path):
    with pytest.raises(TrialError, match=r"'loss' in trial 0; it gave 'los'. Did you mean 'los'"):
        tuned(tmp_path, """print('{"los": 1}')""")
    (again := tmp_path / "again").mkdir()
    with pytest.raises(lt.StudyError, match="expected a JSON object after"):
        tuned(again, """print('::luthier loss=1')""")


def test_no_such_program(tmp_path):
    command, space = read_command([str(tmp_path / "scrip"), "--x", "{x}"], SPACE)
    (tmp_path / "script").write_text("")
    study = lt.open("s", space, minimize="loss", storage="memory", max_trials=1)
    with pytest.raises(lt.StudyError, match=r"Cannot run .*Did you mean .*script"):
        work(study, Script(command, ("loss",), str(tmp_path / "place")))


@pytest.mark.processes
def test_a_script_does_not_outlive_its_worker(tmp_path):
    text = f"""
    import os, time, pathlib
    pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
    time.sleep(60)
    """
    (tmp_path / "long.py").write_text(textwrap.dedent(text))
    words = [sys.executable, "-m", "luthier.app.command", "tune", "--minimize", "loss",
             "--max-trials", "1", "--", str(tmp_path / "long.py"), "--x", "{float:0:1}"]  # fmt: skip
    worker = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.1)
    pid = int((tmp_path / "pid").read_text())
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(pid)


# -- what is left of it, and what comes in its way ------------------------------------------------

OF_SCRIPTS = ("(_accept)", "(_hear)", "(_watch)", "(_read)")

REPORTS_ON = """
    import luthier
    while True:  # whatever it hears
        luthier.report(loss=1.0)
"""


def left_of_scripts():
    """The threads that listen to scripts, and this process's sockets."""
    threads = {t for t in threading.enumerate() if t.name.endswith(OF_SCRIPTS)}
    sockets = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets |= {name for name in [os.readlink(link)] if name.startswith("socket:")}
    return threads | sockets


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


@pytest.mark.processes
def test_a_script_leaves_no_thread_and_no_socket(tmp_path):
    before = left_of_scripts()
    study = tuned(tmp_path, REPORTS_ON, max_trials=3, epochs=2)
    assert [trial.state for trial in study.trials] == ["completed"] * 3
    assert wait_for(lambda: left_of_scripts() <= before)


def test_who_waits_for_an_answer_hears_that_it_is_over():
    readings = []
    listener = Listener(readings.append)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(listener.address)
        client.sendall(b'{"loss": 1}\n')
        assert wait_for(lambda: readings)
        listener.close()
        assert json.loads(client.makefile().readline()) == {"go_on": False}


@pytest.mark.processes
def test_a_full_disk_holds_no_script_up():
    lines = []
    text = "for _ in range(5000): print('x' * 99)"  # far more than a pipe holds
    process = Process([sys.executable, "-c", text], {}, Path("/dev/full"), lines.append)
    try:
        assert process.wait(30)
        process.drain()
    finally:
        process.end(0.0)
    assert (process.code, len(lines)) == (0, 5000)


def test_numbers_that_no_step_and_no_metric_can_be(tmp_path):
    text = """
    print('{"loss": 0.5, "step": NaN}')
    print('{"loss": 0.25, "step": Infinity, "huge": 1%s}')
    print('{"a":' + '[' * 50000)
    print('{"loss": 0.125}')
    """
    study = tuned(tmp_path, text % ("0" * 400), max_trials=1)
    assert list(study.trials[0].losses) == [0.5, 0.25, 0.125]
    assert study.trials[0].metrics[1]["huge"] == float("inf")


def test_a_pattern_with_a_group_that_may_have_no_part_in_it(tmp_path):
    text = """
    print("loss: none yet")
    print("loss: 0.5")
    """
    study = tuned(tmp_path, text, max_trials=1, patterns={"loss": r"loss: (?:none|(\S+))"})
    assert list(study.trials[0].losses) == [0.5]


@pytest.mark.processes
def test_a_file_that_cannot_be_read_is_told_and_not_waited_for(tmp_path):
    text = """
    import sys, time
    open(sys.argv[1], "w").write("::luthier loss=1\\n")
    time.sleep(60)
    """
    where = str(tmp_path / "m.jsonl")
    errors = []

    def tune():
        try:
            tuned(tmp_path, text, where, metrics_file=where, max_trials=1)
        except lt.StudyError as error:
            errors.append(str(error))

    trial = threading.Thread(target=tune, daemon=True)
    trial.start()
    trial.join(30)
    assert ["expected a JSON object after" in error for error in errors] == [True]


@pytest.mark.processes
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGTERM)", "os._exit(143)"])
def test_who_is_ended_by_sigterm_alone_is_a_lost_worker_and_no_bug(tmp_path, end):
    text = f"""
    import os, pathlib, signal, time
    print('{{"loss": 1.0}}', flush=True)
    flag = pathlib.Path(os.environ["LUTHIER_FOLDER"]) / "killed"
    if not flag.exists():
        flag.touch()
        {end}
        time.sleep(60)
    """
    study = tuned(tmp_path, text, max_trials=1)
    assert [(str(t.state), t.retries) for t in study.trials] == [("completed", {"lost": 1})]


@pytest.mark.processes
def test_a_script_that_is_told_before_its_worker_is_preempted(tmp_path):
    """As where a cluster tells all processes of a job."""
    text = f"""
    import os, time, pathlib
    pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
    print('{{"loss": 1.0}}', flush=True)
    time.sleep(60)
    """
    (tmp_path / "long.py").write_text(textwrap.dedent(text))
    words = [sys.executable, "-m", "luthier.app.command", "tune", "--minimize", "loss",
             "--max-trials", "1", "--", str(tmp_path / "long.py"), "--x", "{float:0:1}"]  # fmt: skip
    worker = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        time.sleep(0.6)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=60)
    finally:
        worker.kill()
    assert worker.returncode == 143, said
    (trial,) = lt.open("long", storage=tmp_path / "luthier.db").trials
    assert trial.retries == {"preempted": 1}
    assert not trial.state.ended


# -- the command ---------------------------------------------------------------------------------

FACTS = {"number": 3, "seed": 7, "epochs": 9, "folder": "/f", "checkpoint": "/c"}


def test_names_come_from_options_and_from_themselves():
    words = shlex.split(
        "./train --lr {log:1e-5:1e-1} --batch-size={32,64} units={int:1:8} {depth=int:1:3} "
        "{flag:--nesterov} --seed {trial.seed} --json '{\"a\": 1}' '{}' ${HOME}"
    )
    command, space = read_command([word for word in words if "HOME" not in word], None)
    assert space == lt.Space(
        lr=lt.Float(1e-5, 1e-1, scale="log"),
        batch_size=lt.Choice(32, 64),
        units=lt.Int(1, 8),
        depth=lt.Int(1, 3),
        nesterov=lt.Bool(),
    )
    values = {"lr": 0.001, "batch_size": 64, "units": 2, "depth": 1, "nesterov": True}
    assert command.filled(values, FACTS) == [
        "./train", "--lr", "0.001", "--batch-size=64", "units=2", "1", "--nesterov", "--seed", "7",
        "--json", '{"a": 1}', "{}",
    ]  # fmt: skip
    assert "--nesterov" not in command.filled({**values, "nesterov": False}, FACTS)


def test_inactive_hyperparameters_take_their_options_away():
    space = lt.Space(
        opt=lt.Choice("sgd", "adam"), momentum=lt.Float(0.0, 0.9).when(opt="sgd"), big=lt.Bool()
    )
    command, _ = read_command(["t", "--opt", "{opt}", "--momentum", "{momentum}", "--end"], space)
    assert command.filled({"opt": "adam", "big": True}, FACTS) == ["t", "--opt", "adam", "--end"]
    appended, _ = read_command(["t", "--epochs", "3"], space)
    assert appended.filled({"opt": "adam", "big": True}, FACTS)[3:] == ["--opt", "adam", "--big"]
    assert "--big" not in appended.filled({"opt": "sgd", "momentum": 0.5, "big": False}, FACTS)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("t {log:1:2}", r"has no name.*\{units=log:1:2\}"),
        ("t --lr {lgo:1:2}", "Did you mean 'log'"),
        ("t --lr {x1}", "no hyperparameter 'x1'.*Did you mean 'x'"),
        ("t --seed {trial.sed}", "Did you mean 'trial.seed'"),
        ("t --epochs {epochs}", "no hyperparameter 'epochs'.*Did you mean 'trial.epochs'"),
        ("t --out {folder}/log --x {x}", "no hyperparameter 'folder'"),
        ("t --a {int:1:2} --a {int:1:3}", "'a' is given twice"),
    ],
)
def test_what_is_wrong_with_a_command(words, error):
    with pytest.raises(lt.LuthierError, match=error):
        read_command(words.split(), SPACE)


def test_report_by_hand_prints(capsys, monkeypatch):
    monkeypatch.delenv("LUTHIER_SOCKET", raising=False)
    assert lt.report({"val/loss": 1}, step=2, accuracy=0.5)
    assert json.loads(capsys.readouterr().out) == {"val/loss": 1.0, "accuracy": 0.5, "step": 2}
    with pytest.raises(lt.StudyError, match="'loss' must be one number, got 'low'"):
        lt.report(loss="low")
    assert os.environ.get("LUTHIER_SOCKET") is None
