"""What a real MLflow server has when things go otherwise than once and from beginning to end."""

from __future__ import annotations

import tempfile
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.track.mlflow_server import curve, free_port, points, runs_of, serve, stop
from tests.track.told_trackers import opened, write, write_by_turns

from luthier.errors import LuthierWarning, StorageError, StudyError
from luthier.run.worker import work
from luthier.track import mlflow

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    found = free_port()
    server = serve(tmp_path_factory.mktemp("mlflow"), found)
    yield found
    stop(server)


@pytest.fixture
def experiment(request):
    return request.node.name


def train(trial):
    for epoch in trial.epochs():
        trial.report(loss=trial["x"] + 1 / (epoch + 1))


def by_trial(port, experiment, study):
    """Return the runs of the study's trials by their number, each of which is there once."""
    runs = runs_of(port, experiment)
    above = [r for r in runs if r["info"]["run_name"] == study.name]
    assert len(above) == 1
    own = {r["info"]["run_id"] for r in above}
    found = [r for r in runs if r["tags"].get("mlflow.parentRunId") in own]
    numbered = {int(r["tags"]["luthier.trial"]): r for r in found}
    assert len(numbered) == len(found)
    return numbered


def assert_whole(port, experiment, study):
    runs = by_trial(port, experiment, study)
    assert set(runs) == {t.number for t in study.trials}
    for trial in study.trials:
        run = runs[trial.number]
        assert run["tags"]["luthier.state"] == trial.state
        assert run["params"] == {k: str(v) for k, v in trial.configuration.items()}
        wanted = list(zip(trial.steps, trial.losses, strict=True))
        assert points(port, run["info"]["run_id"], "loss") == wanted


def test_one_tracker_writes_several_studies_each_in_full(tmp_path, port, experiment):
    studies = [opened(tmp_path, name) for name in ("a", "b")]
    tracker = mlflow(f"http://127.0.0.1:{port}", experiment)
    write_by_turns(tracker, studies, train)
    for study in studies:
        assert_whole(port, experiment, study)


def test_a_study_that_begins_anew_is_another_run(tmp_path, port, experiment):
    tracker = mlflow(f"http://127.0.0.1:{port}", experiment)
    first = opened(tmp_path, minimize="los")
    with pytest.raises(StudyError, match="Did you mean"):
        work(first, train)
    write(tracker, first)
    with pytest.warns(LuthierWarning, match="begins anew"):
        study = opened(tmp_path)
    work(study, train)
    write(tracker, study)
    above = [r for r in runs_of(port, experiment) if r["info"]["run_name"] == "s"]
    assert len(above) == 2
    (run,) = [r for r in above if "minimize loss" in r["params"]["objective"]]
    children = [
        r for r in runs_of(port, experiment)
        if r["tags"].get("mlflow.parentRunId") == run["info"]["run_id"]
    ]  # fmt: skip
    assert len(children) == 3
    assert {r["tags"]["luthier.state"] for r in children} == {"completed"}


def test_what_another_machine_has_made_is_used(tmp_path, port, experiment, monkeypatch):
    study = opened(tmp_path)
    here, there = (mlflow(f"http://127.0.0.1:{port}", experiment) for _ in range(2))

    def both():
        for tracker, machine in ((here, "here"), (there, "there")):
            (tmp_path / machine).mkdir(exist_ok=True)
            monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / machine))  # where locks are
            write(tracker, study)

    def seen(trial):
        both()
        for epoch in trial.epochs():
            trial.report(loss=trial["x"] + epoch)

    work(study, seen)
    both()
    assert_whole(port, experiment, study)


def test_only_a_new_best_is_logged_as_the_best(tmp_path, port, experiment):
    study = opened(tmp_path, max_trials=1, epochs=5)
    tracker = mlflow(f"http://127.0.0.1:{port}", experiment)
    trial = study.ask()
    for loss in (3.0, 2.0, 4.0, 5.0):
        trial.report(loss=loss)
        write(tracker, study)
    tracker.close()  # what is known is forgotten
    write(tracker, study)
    (run,) = [r for r in runs_of(port, experiment) if r["info"]["run_name"] == "s"]
    assert points(port, run["info"]["run_id"], "best_loss") == [(1, 2.0), (1, 3.0)]
    assert run["tags"]["luthier.best_trial"] == "0"


def test_half_the_batch_is_told_beside_the_params_which_mlflow_does_not_change(
    tmp_path, port, experiment
):
    study = opened(tmp_path, max_trials=1, halve="batch")
    study.enqueue({"x": 0.5, "batch": 64})
    tracker = mlflow(f"http://127.0.0.1:{port}", experiment)

    def large(trial):
        for epoch in trial.epochs():
            if trial["batch"] == 64 and epoch == 1:
                write(tracker, study)
                raise MemoryError("out of memory, in earnest")
            trial.report(loss=1.0)

    work(study, large)
    write(tracker, study)
    run = by_trial(port, experiment, study)[0]
    assert (run["params"]["batch"], run["tags"]["luthier.changed"]) == ("64", "batch=32")
    assert run["tags"]["luthier.state"] == "completed"
    assert curve(port, run["info"]["run_id"], "loss") == {1: 1.0, 2: 1.0, 3: 1.0}


class _Lossy(BaseHTTPRequestHandler):
    """Passes on what is asked; the answers to the first *unanswered* creations of runs are lost."""

    unanswered = 0
    server_port = 0

    def do_POST(self):
        self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self):
        self._pass_on(None)

    def _pass_on(self, body):
        cls = type(self)
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{cls.server_port}{self.path}", body, headers
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        if self.path.endswith("runs/create") and cls.unanswered:
            cls.unanswered -= 1
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def test_a_run_whose_making_was_not_answered_is_not_made_again(tmp_path, port, experiment):
    study = opened(tmp_path)
    work(study, train)
    handler = type("Lossy", (_Lossy,), {"unanswered": 2, "server_port": port})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as line:
        threading.Thread(target=line.serve_forever, daemon=True).start()
        tracker = mlflow(f"http://127.0.0.1:{line.server_port}", experiment)
        for _ in range(2):  # the study's run, and that of the first trial
            with pytest.raises(StorageError, match="no MLflow at"):
                write(tracker, study)
        write(tracker, study)
        line.shutdown()
    assert handler.unanswered == 0
    assert_whole(port, experiment, study)
    (run,) = [r for r in runs_of(port, experiment) if r["info"]["run_name"] == "s"]
    assert run["params"]["searcher"] == "random"
    assert run["info"]["status"] == "FINISHED"


def status(port, experiment):
    (run,) = [r for r in runs_of(port, experiment) if r["info"]["run_name"] == "s"]
    return run["info"]["status"]


def test_the_studys_run_ends_with_who_trains_it_and_runs_again_when_it_goes_on(
    tmp_path, port, experiment
):
    """With ASHA most trials stay paused for ever once the epochs are spent."""
    study = opened(tmp_path, max_trials=None, max_epochs=12, epochs=9, scheduler="asha")
    tracker = mlflow(f"http://127.0.0.1:{port}", experiment)

    def train_by_rungs(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            trial.report(loss=trial["x"] + 1 / (epoch + 1))

    write(tracker, study)
    assert status(port, experiment) == "RUNNING"
    work(study, train_by_rungs)
    assert study.history.paused
    write(tracker, study)
    tracker.close()
    assert status(port, experiment) == "FINISHED"
    study.steer.budget(epochs=30)
    trial = study.ask()
    write(tracker, study)
    assert status(port, experiment) == "RUNNING"
    tracker.close()  # another process may train it
    assert status(port, experiment) == "RUNNING"
    study.release(trial, "interrupted", "interrupted")
    write(tracker, study)
    tracker.close()
    assert status(port, experiment) == "KILLED"
