from __future__ import annotations

import itertools

import psycopg
import pytest
from tests.app.serving_store import served
from tests.storage.postgres_server import running_postgres

from luthier.storage import open_store

KINDS = ["memory", "sqlite", "sqlite, power", "postgres", "http"]
_databases = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    with running_postgres() as server:
        yield server


@pytest.fixture
def database(postgres):
    """The URL of a fresh database on a real server."""
    name = f"d{next(_databases)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres.url.rpartition("/")[0] + f"/{name}"


@pytest.fixture(params=KINDS)
def address(request, tmp_path):
    """How to open a fresh store of each kind."""
    if request.param == "memory":
        yield "memory"
    elif request.param == "postgres":
        yield request.getfixturevalue("database")
    elif request.param == "http":
        with served(tmp_path) as url:
            yield url
    else:
        option = "?durability=power" if "power" in request.param else ""
        yield f"{tmp_path}/luthier.db{option}"


@pytest.fixture
def store(address):
    made = open_store(address)
    yield made
    made.close()
