"""What is special to the SQLite file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading

import pytest

import luthier
from luthier.errors import StorageError
from luthier.storage import MemoryStore, SQLiteStore, locks, open_store, sqlite, sqlite_file
from luthier.storage.locks import FileLock


def test_the_write_ahead_log_is_moved_into_the_file(tmp_path):
    path = tmp_path / "luthier.db"
    store = SQLiteStore(path)
    for _ in range(40):
        store.append("s", [b"x" * 200_000])
    assert path.stat().st_size > 3 << 20
    assert (tmp_path / "luthier.db-wal").stat().st_size < 6 << 20


def test_read_only_writes_nothing_and_wants_a_file(tmp_path):
    with pytest.raises(StorageError, match=r"There is no .*luthier\.db"):
        SQLiteStore(tmp_path / "luthier.db", read_only=True)
    writer = SQLiteStore(tmp_path / "luthier.db")
    writer.append("s", [b"1"])
    reader = SQLiteStore(tmp_path / "luthier.db", read_only=True)
    assert reader.read("s") == [(1, b"1")]
    writer.append("s", [b"2"])
    assert reader.read("s", 1) == [(2, b"2")]
    with pytest.raises(StorageError, match="readonly"):
        reader.append("s", [b"3"])


def test_a_file_of_schema_1_is_brought_up_and_can_be_read_before(tmp_path):
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(sqlite_file.MIGRATIONS[0])
        connection.execute("PRAGMA user_version=1")
        connection.execute("INSERT INTO studies VALUES (1, 's')")
        connection.execute("INSERT INTO events VALUES (1, 1, x'31')")
    connection.close()
    reader = SQLiteStore(path, read_only=True)
    assert (reader.read("s"), reader.snapshot("s")) == ([(1, b"1")], None)
    writer = SQLiteStore(path)
    writer.keep_snapshot("s", 1, b"x")
    assert writer.read("s") == [(1, b"1")]
    assert reader.snapshot("s") == (1, b"x")
    assert sqlite_file.schema_of(sqlite3.connect(path)) == sqlite_file.SCHEMA


def test_a_full_disk_is_a_clear_error_that_loses_nothing(tmp_path):
    store = SQLiteStore(tmp_path / "luthier.db")
    store.append("s", [b"1"])
    connection = store._connected()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(StorageError, match="nothing written before is lost: free space"):
        store.append("s", [b"x" * 1_000_000])
    connection.execute("PRAGMA max_page_count=1000000")
    assert store.read("s") == [(1, b"1")]
    assert store.append("s", [b"2"]) == 2


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(StorageError, match=r"folder .* does not exist"):
        SQLiteStore(tmp_path / "no" / "luthier.db")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(StorageError, match="SQLite file of another program"):
        SQLiteStore(other)
    text = tmp_path / "text.db"
    text.write_text("not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(StorageError, match=r"no SQLite file|damaged"):
        SQLiteStore(text)
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError, match="upgrade luthier"):
        SQLiteStore(tmp_path / "new.db")
    with pytest.raises(StorageError, match=r"Unknown storage 'mysql://x'"):
        open_store("mysql://x")
    with pytest.raises(StorageError, match="durability must be 'process' or 'power', got 'flash'"):
        open_store(f"{tmp_path}/x.db?durability=flash")


def test_network_file_systems_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "file_system", lambda path: "nfs4")
    with pytest.raises(StorageError, match=r"network file system \(nfs4\).*luthier serve"):
        SQLiteStore(tmp_path / "luthier.db")


@pytest.mark.parametrize(
    "system",
    ["nfs", "cifs", "smb3", "9p", "lustre", "ceph", "panfs", "wekafs", "afs", "fuse.sshfs",
     "fuse.juicefs", "fuse.gcsfuse", "fuse.s3fs", "fuse.rclone", "fuse.ceph-fuse", "fuse.glusterfs"],
)  # fmt: skip
def test_what_several_machines_share_is_a_network_file_system(system):
    assert sqlite_file.is_network(system)


@pytest.mark.parametrize(
    "system",
    ["", "ext4", "xfs", "btrfs", "overlay", "tmpfs", "virtiofs", "fuseblk", "fuse", "fuse.overlayfs",
     "fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.gocryptfs"],
)  # fmt: skip
def test_what_one_machine_has_for_itself_is_none(system):
    assert not sqlite_file.is_network(system)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql+psycopg2://me:SECRET@host/db", "postgresql+psycopg2://***@host/db"),
        ("mysql://me:SE/CR@ET@host/db?token=SECRET", "mysql://***@host/db?token=***"),
        ("postgresql:/me:SECRET@host/db", "***@host/db"),
        ("mysql://host/db", "mysql://host/db"),
    ],
)
def test_an_unknown_address_is_told_without_its_password(address, told):
    with pytest.raises(StorageError) as caught:
        open_store(address)
    assert str(caught.value).startswith(f"Unknown storage {told!r}: expected a path")


def test_names_of_stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUTHIER_STORAGE", raising=False)
    assert isinstance(open_store("memory"), MemoryStore)
    assert open_store(None).path == tmp_path / "luthier.db"
    assert open_store("sqlite:///x.db").path == tmp_path / "x.db"
    assert open_store(f"sqlite:///{tmp_path}/y.db").path == tmp_path / "y.db"
    power = open_store(f"{tmp_path}/z.db?durability=power")
    assert (power.path, power.durability) == (tmp_path / "z.db", "power")
    assert open_store(power.address).durability == "power"
    with pytest.raises(StorageError, match="LUTHIER_STORAGE is not set"):
        open_store("env")
    monkeypatch.setenv("LUTHIER_STORAGE", "e.db")
    assert open_store("env").path == open_store(None).path == tmp_path / "e.db"


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_brief_decision_keeps_all_other_writers_out(tmp_path, durability):
    store = SQLiteStore(tmp_path / "s.db", durability=durability)
    other = SQLiteStore(tmp_path / "s.db")
    other.append("s", [b"before"])
    writer = threading.Thread(target=other.append, args=("s", [b"theirs"]))
    with store.deciding("s", briefly=True):
        last = store.read("s")[-1][0]
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        store.append("s", [b"ours"], expect=last)
    writer.join(30)
    assert [body for _, body in other.read("s")] == [b"before", b"ours", b"theirs"]


def test_a_child_does_not_hold_on_to_its_parents_locks(tmp_path):
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # lives until the parent lets it go
        os._exit(0)
    lock.close()
    again = FileLock(tmp_path / "lock")
    assert again.acquire(5.0)
    os.close(writer)
    os.waitpid(child, 0)
    os.close(reader)


def test_a_full_disk_while_deciding_leaves_the_trials_in_flight_reportable(tmp_path):
    study = luthier.open(
        "s",
        {"x": luthier.Float(0, 1)},
        minimize="loss",
        searcher="random",
        scheduler=None,
        storage=tmp_path / "luthier.db",
    )
    first = study.ask()
    study.enqueue({"x": 0.5})
    connection = study.store._connected()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    asked = []
    with pytest.raises(StorageError, match="free space"):
        asked.extend(study.ask() for _ in range(10_000))
    connection.execute("PRAGMA max_page_count=1000000")
    first.report(loss=1.0)
    study.tell(first)
    assert study.history.trials[first.number].losses[-1] == 1.0
    assert study.ask().number == len(asked) + 1


@pytest.mark.parametrize("name", ["run #1.db", "100%41.db", "what?.db", "mode=ro&x#.db"])
def test_a_file_is_called_what_it_is_called(tmp_path, name):
    """Names are no URLs: a # or a ? once made two studies one."""
    store = SQLiteStore(tmp_path / name)
    store.append("s", [b"one"])
    store.close()
    assert (tmp_path / name).is_file()
    assert not [p for p in tmp_path.iterdir() if not p.name.startswith(name)]
    store = SQLiteStore(tmp_path / name, read_only=True)
    assert store.names() == ["s"]
    store.close()


@pytest.fixture
def medium(tmp_path):
    """Yield a file system of its own, and what makes it read-only."""
    place = tmp_path / "medium"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield place, lambda: subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_read_only_medium_can_be_looked_at(tmp_path, medium):
    place, harden = medium
    study = luthier.open(
        "s", {"x": luthier.Float(0, 1)}, minimize="loss", storage=tmp_path / "s.db"
    )
    study.tell(study.ask(), loss=1.0)
    study.store.compact()
    shutil.copy(tmp_path / "s.db", place / "s.db")
    harden()
    store = open_store(place / "s.db", read_only=True)
    assert store.names() == ["s"]
    assert len(store.read("s")) == len(study.store.read("s"))
    store.close()
    with pytest.raises(StorageError, match="on a read-only medium: copy it"):
        open_store(place / "s.db").append("s", [b"more"])
    study.close()


def test_a_log_that_cannot_be_read_there_is_told(tmp_path, medium):
    place, harden = medium
    store = SQLiteStore(tmp_path / "s.db")
    store.append("s", [b"one"])
    for name in ("s.db", "s.db-wal"):
        shutil.copy(tmp_path / name, place / name)
    harden()
    with pytest.raises(StorageError, match=r"its last events are in s\.db-wal.*copy both"):
        open_store(place / "s.db", read_only=True).names()
    store.close()


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(
        StorageError, match=r"is a folder: expected a file in it, such as .*luthier\.db"
    ):
        open_store(tmp_path)


def deleted(path):
    for name in ("", "-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)


def test_a_reader_goes_over_to_a_file_that_was_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "_LOOK_SECONDS", -1.0)
    path = tmp_path / "luthier.db"
    writer = SQLiteStore(path)
    for study in ("other", "s"):
        writer.append(study, [b"1", b"2"])
    reader = SQLiteStore(path, read_only=True)
    assert reader.read("s") == [(1, b"1"), (2, b"2")]
    deleted(path)
    assert not reader.replaced
    assert reader.read("s", 1) == [(2, b"2")], "there is nothing else to go over to"
    again = SQLiteStore(path)
    again.append("s", [b"another"])
    assert writer.replaced
    assert reader.read("s") == [(1, b"another")]
    assert reader.names() == ["s"]
    assert not reader.replaced
    assert again.append("s", [b"more"]) == 2
    assert reader.read("s", 1) == [(2, b"more")]
    # What closes last must not take the new file's log along.
    writer.close()
    reader.close()
    assert [body for _, body in SQLiteStore(path).read("s")] == [b"another", b"more"]


def test_a_writer_stays_with_the_log_that_it_knows(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "_LOOK_SECONDS", -1.0)
    path = tmp_path / "luthier.db"
    writer = SQLiteStore(path)
    writer.append("s", [b"1"])
    deleted(path)
    SQLiteStore(path).append("s", [b"another"])
    assert writer.append("s", [b"2"]) == 2
    assert [body for _, body in SQLiteStore(path).read("s")] == [b"another"]
    writer.close()
    assert [body for _, body in writer.read("s")] == [b"another"], "opened again it is the new one"


def test_a_reader_looks_at_its_file_now_and_then_only(tmp_path, monkeypatch):
    path = tmp_path / "luthier.db"
    SQLiteStore(path).append("s", [b"1"])
    reader = SQLiteStore(path, read_only=True)
    looks = []
    monkeypatch.setattr(sqlite, "_identity", lambda path: looks.append(path))
    for _ in range(100):
        reader.read("s")
    assert len(looks) <= 1


def test_a_link_to_a_file_is_that_file(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "luthier.db").symlink_to(tmp_path / "data" / "studies.db")
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    store = SQLiteStore(tmp_path / "luthier.db", durability="power")
    store.append("s", [b"1"])
    assert synced == [(tmp_path / "data" / "studies.db-wal").stat().st_ino]
    assert sorted(os.listdir(tmp_path)) == ["data", "luthier.db"]


def test_giving_space_back_waits_for_whoever_moves_the_log(tmp_path):
    path = tmp_path / "luthier.db"
    store = SQLiteStore(path)
    store.append("s", [b"1"])
    moving = FileLock(tmp_path / "luthier.db-checkpointing")
    assert moving.acquire()
    assert store.append("s", []) == 1
    thread = threading.Thread(target=SQLiteStore(path).compact)
    thread.start()
    thread.join(0.3)
    assert (tmp_path / "luthier.db-wal").stat().st_size > 0
    assert store.append("s", [b"2"]) == 2  # writers do not wait with it
    moving.release()
    thread.join(20)
    assert not thread.is_alive()


def test_without_locks_sqlite_moves_its_log_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    store = SQLiteStore(tmp_path / "luthier.db")
    for _ in range(50):
        store.append("s", [b"x" * 200_000])
    assert (tmp_path / "luthier.db-wal").stat().st_size < 6 << 20


def test_who_may_write_the_file_may_write_what_lies_beside_it(tmp_path):
    path = tmp_path / "luthier.db"
    SQLiteStore(path).close()
    path.chmod(0o660)
    store = SQLiteStore(path)
    store.append("s", [b"1"])
    assert store.defer("s", [b"2"], 1)
    with store.deciding("s"):
        rights = {name: (tmp_path / name).stat().st_mode & 0o777 for name in os.listdir(tmp_path)}
    assert rights.pop("luthier.db-outbox") == 0o770
    assert rights.pop("luthier.db-shm") == 0o660  # SQLite's own way
    assert set(rights.values()) == {0o660}, rights
    assert {"luthier.db-lock", "luthier.db-deciding"} <= set(rights)


def test_a_lock_that_cannot_be_had_is_told(tmp_path):
    with pytest.raises(StorageError, match=r"missing/lock: No such file.*check the permissions"):
        FileLock(tmp_path / "missing" / "lock").acquire()
