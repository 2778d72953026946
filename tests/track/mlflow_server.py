"""A real MLflow server of the tests' own, and what is in it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

OVERLAY = Path(sys.prefix) / "mlflow"  # see the Makefile: its pins are at odds with ours


def serve(folder, port):
    if not (OVERLAY / "mlflow").is_dir():
        pytest.fail(f"no MLflow in {OVERLAY}: make test installs it")
    environment = {
        **os.environ,
        "PYTHONPATH": str(OVERLAY),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
    )
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            return process
        except OSError:
            time.sleep(0.3)
    stop(process)
    pytest.fail((folder / "server.log").read_text()[-3000:])


def stop(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def runs_of(port, experiment="luthier"):
    def call(path, **body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/{path}", json.dumps(body).encode() or None
        )
        request.add_header("Content-Type", "application/json")
        return json.loads(urllib.request.urlopen(request, timeout=20).read())

    experiments = call("experiments/search", max_results=100)["experiments"]
    ids = [e["experiment_id"] for e in experiments if e["name"] == experiment]
    found = call("runs/search", experiment_ids=ids, max_results=100).get("runs", [])
    for run in found:
        for kind in ("params", "tags", "metrics"):
            listed = run["data"].get(kind, [])
            run[kind] = {each["key"]: each["value"] for each in listed}
    return found


def points(port, run, metric):
    """Return all that was logged of a metric: (step, value) as often as it is there."""
    url = f"http://127.0.0.1:{port}/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={metric}"
    listed = json.loads(urllib.request.urlopen(url, timeout=20).read())["metrics"]
    return sorted((point["step"], point["value"]) for point in listed)


def curve(port, run, metric):
    return dict(points(port, run, metric))
