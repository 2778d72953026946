"""Trackers hold what the log says, catch up when they were away, and are never in the way."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.track.mlflow_server import curve, free_port, runs_of, serve, stop

import luthier
from luthier.app.command import commands
from luthier.errors import StorageError, StudyError
from luthier.run.worker import work
from luthier.track import catch_up, trackers_from
from luthier.track.mlflow_server import Server

SPACE = {
    "rate": luthier.Float(1e-3, 1.0, scale="log"),
    "units": luthier.Int(8, 64),
    "kind": luthier.Choice("sgd", "adam"),
    "nesterov": luthier.Bool(),
}


def train(trial):
    for epoch in trial.epochs():
        loss = float("nan") if trial["rate"] > 0.5 else 1 / (epoch + 1) + trial["rate"]
        trial.report({"val/loss": loss, "accuracy": 1 - trial["rate"]})


def tuned(tmp_path, **options):
    return luthier.tune(
        train,
        SPACE,
        minimize="val/loss",
        epochs=3,
        max_trials=5,
        searcher="sobol",
        scheduler="median",
        name="tracked",
        storage=tmp_path / "studies.db",
        progress=False,
        **options,
    )


# -- MLflow ----------------------------------------------------------------------------------------


@pytest.mark.processes
def test_mlflow(tmp_path, capfd):
    port = free_port()
    uri = f"mlflow:http://127.0.0.1:{port}"
    begin = time.monotonic()
    result = tuned(tmp_path, track=uri)  # nobody is there yet
    assert len(result.trials) == 5
    said = capfd.readouterr().err
    assert said.count("cannot write to mlflow:") == 1
    assert "does not have all of the study yet" in said
    assert time.monotonic() - begin < 60
    server = serve(tmp_path, port)
    try:
        arguments = ["track", "tracked", "--to", uri, "--storage", str(tmp_path / "studies.db")]
        commands.main(arguments, standalone_mode=False)
        runs = runs_of(port)
        assert len(runs) == 6
        (study,) = [r for r in runs if "luthier.trial" not in r["tags"]]
        assert study["info"]["status"] == "FINISHED"
        assert study["metrics"]["best_val/loss"] == pytest.approx(result.best_value)
        assert study["params"]["searcher"] == "sobol"
        by_trial = {int(r["tags"]["luthier.trial"]): r for r in runs if r is not study}
        for trial in result.trials:
            run = by_trial[trial.number]
            assert run["tags"]["mlflow.parentRunId"] == study["info"]["run_id"]
            assert run["tags"]["luthier.state"] == trial.state
            assert run["params"] == {k: str(v) for k, v in trial.configuration.items()}
            points = curve(port, run["info"]["run_id"], "accuracy")
            assert points == pytest.approx(
                dict(zip(trial.steps, trial.curve("accuracy"), strict=True))
            )
        states = {t.state: by_trial[t.number]["info"]["status"] for t in result.trials}
        assert states["completed"] == "FINISHED"
        assert states.get("diverged", "FAILED") == "FAILED"
        commands.main(arguments, standalone_mode=False)  # nothing is written twice
        again = runs_of(port)
        assert len(again) == 6
        assert len(curve(port, by_trial[0]["info"]["run_id"], "accuracy")) == len(
            result.trials[0].steps
        )
        # A second study, while the server is there all the time.
        luthier.tune(
            train, SPACE, minimize="val/loss", epochs=2, max_trials=2, name="live", storage="memory",
            progress=False, track=uri,
        )  # fmt: skip
        assert len(runs_of(port)) == 9
        assert "cannot write" not in capfd.readouterr().err
    finally:
        stop(server)


def test_a_tracker_that_hangs_or_raises_is_not_in_the_way(tmp_path, capfd):
    class Broken:
        name = "broken:"

        def write(self, history, trials):
            raise RuntimeError("no room left")

    class Once:
        """Fails at first, and must be told everything later."""

        name = "once:"
        failed = False
        steps: dict[int, int] = {}

        def write(self, history, trials):
            if not self.failed:
                self.failed = True
                raise StorageError("away")
            self.steps |= {t.number: t.step for t in trials}

    once = Once()
    result = tuned(tmp_path, track=[Broken(), once])
    assert once.failed
    if not once.steps:  # the study was over before the second look
        catch_up(result.study.store, "tracked", once)
    assert once.steps == {t.number: t.step for t in result.trials}
    assert "cannot write to broken: (RuntimeError: no room left)" in capfd.readouterr().err


# -- TensorBoard -----------------------------------------------------------------------------------


def test_tensorboard_reads_scalars_and_hyperparameters(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    result = tuned(tmp_path, track=f"tensorboard:{tmp_path / 'runs'}")
    place = tmp_path / "runs" / "tracked"

    def read(folder):
        events = EventAccumulator(str(folder))
        events.Reload()
        found = events.summary_metadata
        data = {
            tag: plugin_data_pb2.HParamsPluginData.FromString(found[tag].plugin_data.content)
            for tag in found
            if tag.startswith("_hparams_/")
        }
        return events, data

    _, data = read(place)
    experiment = data["_hparams_/experiment"].experiment
    infos = {info.name: info for info in experiment.hparam_infos}
    assert set(infos) == set(SPACE)
    assert infos["rate"].domain_interval.min_value == 1e-3
    assert [v.string_value for v in infos["kind"].domain_discrete.values] == ["sgd", "adam"]
    assert [m.name.tag for m in experiment.metric_infos] == ["val/loss"]
    for trial in result.trials:
        events, data = read(place / f"trial_{trial.number:04d}")
        points = events.Scalars("accuracy")
        assert [p.step for p in points] == list(trial.steps)
        assert [p.value for p in points] == pytest.approx(trial.curve("accuracy"))
        started = data["_hparams_/session_start_info"].session_start_info
        assert started.hparams["rate"].number_value == trial.configuration["rate"]
        assert started.hparams["kind"].string_value == trial.configuration["kind"]
        assert started.hparams["nesterov"].bool_value == trial.configuration["nesterov"]
        ended = data["_hparams_/session_end_info"].session_end_info
        assert ended.status == (2 if trial.state == "diverged" else 1)
    # Another process writes the same files again, to the byte.
    files = {p: p.read_bytes() for p in place.rglob("events*")}
    catch_up(result.study.store, "tracked", luthier.track.tensorboard(tmp_path / "runs"))
    assert len(files) == 6
    assert {p: p.read_bytes() for p in place.rglob("events*")} == files


def test_tensorboards_own_page_has_the_sessions(tmp_path):
    from tensorboard.backend.event_processing import (
        data_provider,
        plugin_event_multiplexer,
    )
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import (
        api_pb2,
        backend_context,
        get_experiment,
        list_session_groups,
    )

    result = tuned(tmp_path, track=f"tensorboard:{tmp_path / 'runs'}")
    runs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "runs"))
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(tmp_path / "runs"))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    asked = RequestContext()
    metadata = context.hparams_metadata(asked, "")
    experiment = get_experiment.Handler(
        asked, context, "", api_pb2.GetExperimentRequest(include_metrics=True)
    ).run()
    assert {info.name for info in experiment.hparam_infos} == set(SPACE)
    assert metadata
    wanted = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=10,
        col_params=[api_pb2.ColParams(metric={"tag": "val/loss"})],
        allowed_statuses=[1, 2, 3],
    )
    groups = list_session_groups.Handler(asked, context, "", wanted).run().session_groups
    assert len(groups) == 5
    values = {g.name: g.metric_values[0].value for g in groups if g.metric_values}
    for trial in result.trials:
        if trial.state == "completed":
            assert values[str(trial.number)] == pytest.approx(-0.0 + trial.losses[-1])


# -- Weights & Biases ------------------------------------------------------------------------------


def wandb_records(path):
    """Iterate over the records of a .wandb file: LevelDB's log format, behind a header of 7 bytes."""
    data, at, whole = path.read_bytes(), 7, b""
    assert data[:4] in (b":W&B", b"")
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or a last part
            yield whole
            whole = b""


def wandb_entries(path):
    """Return the records of a .wandb file, which wandb's own process may still be writing."""
    from wandb.proto import wandb_internal_pb2

    until = time.monotonic() + 60
    while True:
        found = [wandb_internal_pb2.Record.FromString(data) for data in wandb_records(path)]
        if any(entry.HasField("exit") for entry in found):
            return found
        assert time.monotonic() < until, f"{path} is not finished"
        time.sleep(0.05)


def wandb_run(path):
    """Return what a .wandb file has: group, configuration, rows, summary."""
    group, config, rows, summary = "", {}, [], {}
    for entry in wandb_entries(path):
        for item in entry.run.config.update:
            config[item.key] = json.loads(item.value_json)
        if entry.history.item:
            listed = entry.history.item
            rows.append({"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in listed})
        for item in entry.summary.update:
            summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
        group = entry.run.run_group or group
    return group, config, rows, summary


@pytest.mark.processes
def test_wandb_offline(tmp_path):
    tracker = luthier.track.wandb("nets", folder=tmp_path)
    result = tuned(tmp_path, track=tracker)
    files = sorted((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 5
    found = {int(path.stem.rpartition("-")[2]): wandb_run(path) for path in files}
    for trial in result.trials:
        group, config, rows, summary = found[trial.number]
        assert group == "tracked"
        assert {k: config[k] for k in SPACE} == trial.configuration
        assert [row["_step"] for row in rows if "accuracy" in row] == list(trial.steps)
        assert summary["state"] == trial.state
    catch_up(result.study.store, "tracked", luthier.track.wandb("nets", folder=tmp_path))
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 5


@pytest.mark.processes
def test_wandb_has_a_mended_trial_as_it_ended_last(tmp_path):
    study = luthier.open(
        "mended", SPACE, minimize="val/loss", storage=tmp_path / "s.db", scheduler=None, epochs=1,
        max_trials=1,
    )  # fmt: skip

    def broken(trial):
        raise ValueError("a bug")

    def mended(trial):
        trial.report({"val/loss": 1.0, "accuracy": 0.5})

    def written():
        catch_up(study.store, "mended", luthier.track.wandb("nets", folder=tmp_path))
        return sorted((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))

    with pytest.raises(ValueError, match="a bug"):
        work(study, broken)
    (first,) = written()
    assert wandb_run(first)[3]["state"] == "failed"
    time.sleep(1.1)  # wandb names its folders by the second
    study.retry_errors()
    work(study, mended)
    assert len(written()) == 2
    last = written()[-1]
    assert last.name == first.name
    assert wandb_run(last)[3]["state"] == "completed"
    (kept,) = (tmp_path / "wandb").glob("luthier-*.json")
    assert json.loads(kept.read_text()) == {"0": ["completed", study.trials[0].ended_at]}
    assert not list((tmp_path / "wandb").glob(".luthier*"))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("mlfow:http://a", r"expected one of 'mlflow', .* Did you mean 'mlflow'"),
        ("mlflow", "does not say where: expected 'mlflow:http://127.0.0.1:5000'"),
        ("mlflow:sqlite:///x.db", "mlflow server --backend-store-uri"),
        ("tensorboard", "does not say where"),
    ],
)
def test_places_that_cannot_be(text, match):
    with pytest.raises(StudyError, match=match):
        trackers_from(text)


class _Asked(BaseHTTPRequestHandler):
    who: list[str]

    def do_GET(self):
        self.who.append(self.headers.get("Authorization", ""))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("address", "variables", "who"),
    [
        ("me:secret@", ["USERNAME", "PASSWORD", "TOKEN"], "me:secret"),
        ("", ["USERNAME", "PASSWORD", "TOKEN"], "the USERNAME:the PASSWORD"),
        ("", ["TOKEN"], ""),
        ("me:p%40ss@", [], "me:p@ss"),
    ],
)
def test_who_we_are_is_said_by_the_address_before_the_environment(
    monkeypatch, address, variables, who
):
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    for name in variables:
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", f"the {name}")
    handler = type("Asked", (_Asked,), {"who": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Server(f"http://{address}127.0.0.1:{server.server_port}").call("experiments/get", get=True)
        server.shutdown()
    basic = f"Basic {base64.b64encode(who.encode()).decode()}"
    assert handler.who == [basic if who else "Bearer the TOKEN"]


def test_passwords_do_not_show():
    (tracker,) = trackers_from("mlflow:https://me:secret@host:1/base/")
    assert tracker.name == "mlflow:https://host:1/base"
