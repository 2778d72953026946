"""The doctor on this machine, and on machines with every kind of trouble."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from tests.storage.postgres_server import running_postgres

import luthier as lt
from luthier.app.doctor import advise, look, looking
from luthier.app.doctor.frameworks import Framework
from luthier.app.doctor.looking import Storage
from luthier.storage import open_store


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Return what the doctor sees here, in an empty folder, without starting the frameworks."""
    facts = look(str(tmp_path_factory.mktemp("empty") / "luthier.db"), quick=True)
    room = {"memory_free": 8 << 30, "temporary_free": 9 << 30, "threads": {}, "quota": None}
    storage = dataclasses.replace(facts.storage, free=9 << 30)
    return dataclasses.replace(facts, **room, storage=storage, cores=4, programs="/p", cards=[])


def run(folder, *options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "luthier.app.command", "doctor", *options],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_sees_what_is_here_and_imports_no_framework(tmp_path):
    lt.open("s", {"a": lt.Float(0, 1)}, minimize="loss", storage=tmp_path / "luthier.db")
    code = (
        "import sys\nfrom luthier.app.doctor import look\nfacts = look(quick=True)\n"
        "print(facts.storage.studies, {'keras', 'torch', 'jax', 'tensorflow'} & set(sys.modules))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "LUTHIER_STORAGE"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1 set()", done.stderr


FAKES = {
    "keras": "class backend:\n    backend = staticmethod(lambda: 'tensorflow')\n",
    "tensorflow": "raise ImportError('libcudart.so.13: cannot open shared object file')\n",
    "torch": "import os\nos.abort()\n",
    "jax": "def devices():\n    class D:\n        platform, device_kind = 'gpu', 'H100'\n    return [D]\n",
}


def test_broken_frameworks_are_findings(tmp_path):
    for name, text in FAKES.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\necho 'NVIDIA H100, 570.1, 81559 MiB, 81000 MiB'\n"
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    found = run(
        tmp_path, "--json", PYTHONPATH=path, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        OMP_NUM_THREADS="4096", PYTHONFAULTHANDLER="",
    )  # fmt: skip
    assert found.returncode == 1
    facts = json.loads(found.stdout)
    said = {f["name"]: f for f in facts["frameworks"]}
    assert (said["keras"]["state"], said["keras"]["backend"]) == ("works", "tensorflow")
    assert (said["jax"]["state"], said["jax"]["devices"]) == ("works", ["H100"])
    assert said["torch"]["error"].startswith("killed by signal 6")
    assert said["tensorflow"]["error"].endswith("libcudart.so.13: cannot open shared object file")
    assert facts["cards"] == ["NVIDIA H100, 570.1, 81559 MiB, 81000 MiB"]
    words = [f"{a['kind']}: {a['words']}" for a in facts["advice"]]
    assert [w.split()[1] for w in words if w.startswith("problem")] == ["tensorflow", "torch"]
    assert any("Keras runs on tensorflow while JAX is installed" in w for w in words)
    assert any("OMP_NUM_THREADS=4096" in w for w in words)
    told = run(tmp_path, PYTHONPATH=path).stdout
    assert "BROKEN: killed by signal 6" in told
    assert "on tensorflow (" in told


def test_a_storage_that_cannot_be_used(tmp_path):
    other = tmp_path / "other.db"
    other.write_text("not a database, but long enough to be looked at as one" * 40)
    done = run(tmp_path, "--quick", "--storage", str(other))
    assert done.returncode == 1
    assert f"problem: The storage {other} cannot be used" in done.stdout
    missing = look(str(tmp_path / "no" / "luthier.db"), quick=True).storage
    assert (missing.state, missing.free) == ("unreachable", None)
    server = look("postgresql://me:secret@127.0.0.1:1/x", quick=True).storage
    assert (server.place, server.state) == ("postgresql://127.0.0.1:1/x", "unreachable")
    assert "secret" not in server.error


def kinds(facts):
    return [(a.kind, a.words) for a in advise(facts)]


def test_nothing_to_complain_of(here):
    works = [
        Framework("keras", "3", "works", backend="jax"),
        Framework("tensorflow"),
        Framework("torch", "2", "works"),
        Framework("jax", "1", "works"),
    ]
    assert advise(dataclasses.replace(here, frameworks=works)) == []


ABSENT = [Framework(name) for name in ("keras", "tensorflow", "torch", "jax")]


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"frameworks": ABSENT}, "careful", "No deep-learning framework is here"),
        ({"frameworks": [Framework("keras", "3", "works"), *ABSENT[1:]]}, "problem", "without a backend"),
        ({"packages": {"scipy": ""}}, "problem", "scipy is missing"),
        ({"quota": 1.0}, "careful", "Set OMP_NUM_THREADS=1, and at most workers=1"),
        ({"threads": {"MKL_NUM_THREADS": "8"}}, "faster", "MKL_NUM_THREADS=8, but 4 cores"),
        ({"storage": Storage("s.db", "reachable", free=1 << 20)}, "careful", "0.0 GiB are free beside s.db"),
        ({"temporary_free": 1 << 20}, "careful", "in the temporary folder"),
        ({"memory_free": 1 << 30}, "careful", "1.0 GiB of memory are free"),
        ({"programs": ""}, "faster", "LUTHIER_PROGRAMS is empty"),
        (
            {"cards": ["H100"], "frameworks": [*ABSENT[:2], Framework("torch", "2+cpu", "works"), ABSENT[3]]},
            "faster", "1 GPU(s) are here, but torch see none",
        ),
    ],
)  # fmt: skip
def test_each_finding(here, change, kind, words):
    found = kinds(dataclasses.replace(here, **change))
    assert [k for k, text in found if words in text] == [kind]


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("http://me:secret@host:99999", "http://host:99999"),
        ("postgresql:///db?password=secret&user=me", "postgresql:///db"),
        ("postgresql://me:se/secret@host:port/db", "postgresql://host:port/db"),
        ("http://[::1:secret@x", "http://x"),
        ("http://me:secret@127.0.0.1:1", "http://127.0.0.1:1"),
    ],
)
def test_an_address_that_is_wrong_is_a_finding_and_shows_no_password(place, shown):
    found = looking._storage(place)
    assert (found.place, found.state) == (shown, "unreachable")
    assert "secret" not in found.error


@pytest.mark.processes
def test_a_database_is_found_by_every_address_that_it_has(tmp_path):
    with running_postgres() as server:
        assert looking._storage(server.url).state == "not made yet"
        open_store(server.url).close()
        for place in (
            server.url,
            f"postgresql://luthier@127.0.0.1:1,127.0.0.1:{server.port}/postgres",
            f"postgresql:///postgres?user=luthier&host=127.0.0.1&port={server.port}",
            f"postgres://luthier@/postgres?host={server.folder}&port={server.port}",
        ):
            found = looking._storage(place)
            assert (found.state, found.error) == ("reachable", ""), place
