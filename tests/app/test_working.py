"""``luthier worker``, and scripts run by ``luthier tune``: what is wrong with the call is said in words."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands
from luthier.app.functions import function_of
from luthier.app.raised import Raised
from luthier.errors import LuthierError, StudyError

TRAIN = """
import luthier

def train(trial):
    for _ in trial.epochs():
        trial.report(loss=trial["x"])

if __name__ == "__main__":
    luthier.tune(train, {"x": luthier.Float(0, 1)}, minimize="loss", epochs=1, max_trials=1, name="w",
                 progress=False)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    (tmp_path / "training.py").write_text(TRAIN)
    (tmp_path / "bare.py").write_text("print('hi')\n")
    (tmp_path / "broken.py").write_text("import numpyx\n\ndef train(trial):\n    pass\n")
    return tmp_path


def refused(*words):
    """Return what a wrong call raises, without running anything."""
    with pytest.raises(LuthierError) as caught:
        CliRunner(catch_exceptions=False).invoke(commands, words)
    return str(caught.value)


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "luthier.app.command", *words], capture_output=True, text=True
    )


def test_a_module_that_does_not_exist_is_named_with_the_nearest(folder):
    with pytest.raises(StudyError, match=r"no module 'trainin'.*Did you mean 'training'\?"):
        function_of("trainin", "train")
    with pytest.raises(
        StudyError, match=r"no module 'nets\.deep'.*nets/deep\.py with a function 'f'"
    ):
        function_of("nets.deep", "f")
    with pytest.raises(StudyError, match=r"no module's name"):
        function_of("..training", "train")
    with pytest.raises(StudyError, match=r"no function 'trian'. Did you mean 'train'\?"):
        function_of("training", "trian")
    assert function_of("training", "train").__name__ == "train"


def test_what_a_module_raises_keeps_its_own_traceback(folder):
    with pytest.raises(ModuleNotFoundError, match="numpyx") as caught:
        function_of("broken", "train")
    assert caught.traceback[-1].path.name == "broken.py"
    (folder / "study.yaml").write_text("function: broken:train\nspace: {x: {float: [0, 1]}}\n")
    with pytest.raises(Raised) as raised:
        CliRunner(catch_exceptions=False).invoke(commands, ["tune", "study.yaml"])
    assert isinstance(raised.value.error, ModuleNotFoundError)


def test_a_worker_of_a_function_that_is_nowhere(folder):
    lt.open("w", {"x": lt.Float(0, 1)}, minimize="loss")
    done = run("worker", "--study", "w", "luthier.db", "nomod:train")
    assert done.returncode == 2
    assert done.stderr.startswith("luthier: There is no module 'nomod'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["luthier.db", "training:train", "--study", "w"], "options of luthier worker go before"),
        (["luthier.db", "--study", "w", "training:train"], "options of luthier worker go before"),
        (["--study", "w", "luthier.db", "training:train", "x"], "a function takes no arguments"),
        (["luthier.db", "training:train"], "say which study with --study NAME"),
        (["--study", "w", "nofile.db", "training:train"], "There is no "),
        (["--study", "w", "luthier.db", "training.py"], "names its study itself"),
        (["nofile.db", "trainng.py"], "Did you mean 'training.py'?"),
    ],
)
def test_a_wrong_call_of_a_worker_makes_nothing(folder, words, said):
    assert said in refused("worker", *words)
    assert not list(folder.glob("*.db"))


def test_a_script_that_never_tunes_is_told_and_is_no_success(folder):
    for words in (["tune", "bare.py"], ["worker", "l.db", "bare.py"]):
        done = run(*words)
        assert done.returncode == 1
        assert done.stdout == "hi\n"
        assert "bare.py has ended, and no study was tuned" in done.stderr
    (folder / "bare.py").write_text("import sys\nsys.exit(0)\n")
    assert "no study was tuned" in refused("tune", "bare.py")
    (folder / "bare.py").write_text("import sys\nsys.exit(7)\n")
    assert CliRunner().invoke(commands, ["tune", "bare.py"]).exit_code == 7


def test_whatever_opens_a_study_counts(folder):
    assert CliRunner().invoke(commands, ["tune", "training.py"]).exit_code == 0
    assert len(lt.open("w").trials) == 1
    (folder / "asks.py").write_text("import luthier\nluthier.open('w').refresh()\n")
    assert CliRunner().invoke(commands, ["tune", "asks.py"]).exit_code == 0


def held(how):
    """Make the study of TRAIN, and hold it by hand."""
    study = lt.open("w", {"x": lt.Float(0, 1)}, minimize="loss", epochs=1, max_trials=1)
    getattr(study.steer, how)("the machines are needed")


@pytest.mark.parametrize("how", ["pause", "stop"])
def test_a_worker_does_not_undo_a_pause_or_a_stop_and_who_tunes_again_does(folder, how):
    held(how)
    (folder / "joins.py").write_text(
        TRAIN.replace('name="w",\n                 progress=False', 'name="w", max_time=2')
    )
    done = run("worker", "luthier.db", "joins.py")
    assert done.returncode == 0, done.stderr
    assert f"the study is {how.removesuffix('e')}" in done.stderr
    assert "it goes on with `luthier resume w`" in done.stderr
    study = lt.open("w")
    assert (study.history.held[:4], len(study.trials)) == (how[:4], 0)
    assert run("tune", "training.py").returncode == 0
    assert [str(trial.state) for trial in lt.open("w").trials] == ["completed"]


def test_a_worker_of_a_function_does_not_undo_a_stop(folder):
    held("stop")
    done = run("worker", "--study", "w", "luthier.db", "training:train")
    assert done.returncode == 0, done.stderr
    assert "it goes on with `luthier resume w`" in done.stderr
    assert not lt.open("w").trials


def test_a_worker_of_a_function_goes_on_when_a_bug_is_mended(folder):
    lt.open("w", {"x": lt.Float(0, 1)}, minimize="loss", epochs=1, max_trials=2)
    (folder / "training.py").write_text(TRAIN.replace("for _", "1 / 0\n    for _"))
    words = ["worker", "--study", "w", "luthier.db", "training:train"]
    failed = run(*words)
    assert "ZeroDivisionError" in failed.stderr
    assert failed.returncode == 1
    (folder / "training.py").write_text(TRAIN)
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert [str(trial.state) for trial in lt.open("w").trials] == ["completed"] * 2


def test_what_kills_its_workers_goes_on_when_somebody_tunes_and_with_no_worker_that_joins(folder):
    """Of a cluster's workers each that starts would begin with it, and die of it."""
    study = lt.open("w", {"x": lt.Float(0, 1)}, minimize="loss", epochs=1, max_trials=1)
    study.fail(study.ask(), "lost", "its worker was killed 3 times in a row")
    for words in (["luthier.db", "training.py"], ["--study", "w", "luthier.db", "training:train"]):
        assert run("worker", *words).returncode == 0
        assert [str(trial.state) for trial in study.refresh().trials] == ["failed"]
    assert run("tune", "training.py").returncode == 0
    assert [str(trial.state) for trial in study.refresh().trials] == ["completed"]


LONG = """
import time
from pathlib import Path

import luthier

def train(trial):
    for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
        Path(f"begun-{trial.number}").touch()
        WAIT
        trial.report(loss=trial["x"])

if __name__ == "__main__":
    luthier.tune(train, {"x": luthier.Float(0, 1)}, minimize="loss", epochs=2, max_trials=2, name="w")
"""
WAITS = "time.sleep(600)"
WAITS_STUBBORNLY = """while True:
            try:
                time.sleep(600)
            except BaseException:
                pass"""


@pytest.mark.processes
@pytest.mark.parametrize(("slots", "wait"), [(1, WAITS), (2, WAITS), (1, WAITS_STUBBORNLY)])
def test_a_worker_that_was_told_is_gone_when_its_grace_is_over(folder, slots, wait):
    (folder / "long.py").write_text(LONG.replace("WAIT", wait))
    words = ["worker", "--slots", str(slots), "--grace", "1", "luthier.db", "long.py"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "luthier.app.command", *words], stderr=subprocess.PIPE, text=True
    )
    try:
        while len(list(folder.glob("begun-*"))) < slots:
            assert worker.poll() is None, worker.stderr.read()
            time.sleep(0.02)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=40)  # an epoch takes ten minutes
    finally:
        worker.kill()
    assert worker.returncode == 143, said
    if wait is WAITS:
        queued = lt.open("w").history.queued.values()
        # Given back, and no lease waited for; and not for ever, if no epoch is as short as the notice.
        assert [trial.retries for trial in queued] == [{"preempted": 1}] * slots


EARLIER = """
import luthier

def train(trial):
    aside = luthier.tune(lambda t: t["y"], {"y": luthier.Float(0, 1)}, minimize="loss", max_trials=2,
                         name="aside", storage="memory", progress=False)
    trial.report(loss=aside.best_value)

luthier.tune(train, {"x": luthier.Float(0, 1)}, minimize="loss", max_trials=1, name="w", progress=False,
             storage="mine.db", learn_from=luthier.open("old", storage="old.db"))
"""


def test_a_worker_leaves_what_a_script_has_in_memory_and_reads_an_earlier_study_where_it_lies(
    folder,
):
    old = lt.open("old", {"x": lt.Float(0, 1)}, minimize="loss", storage="old.db", max_trials=6)
    for _ in range(6):
        trial = old.ask()
        old.tell(trial, loss=trial["x"])
    (folder / "earlier.py").write_text(EARLIER)
    done = run("worker", "shared.db", "earlier.py")
    assert done.returncode == 0, done.stderr
    assert lt.storage.open_store("shared.db").names() == ["w"]
    learner = lt.open("w", storage="shared.db")
    assert [e.study for e in learner.history.earlier] == ["old"]
    assert not (folder / "mine.db").exists()
    (folder / "earlier.py").write_text(EARLIER.replace("old.db", "no.db"))
    again = run("worker", "shared.db", "earlier.py")
    assert "There is no study 'old' here to open" in again.stderr
    assert not (folder / "no.db").exists()
