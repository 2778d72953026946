"""A URL that cannot be written to is found out before anything is trained there."""

from __future__ import annotations

import fsspec
import pytest
from checkpoint_places import s3_options

import luthier as lt
from luthier.errors import CheckpointError
from luthier.storage import open_store


@pytest.fixture
def bucket_server(monkeypatch):
    """Have the S3 server found as users have it found; return its file system."""
    options = s3_options()
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return fsspec.filesystem("s3", skip_instance_cache=True, **options)


def test_a_bucket_that_does_not_exist_is_told_before_there_is_a_study(tmp_path, bucket_server):
    trained = []

    def tune(bucket, trials=2):
        return lt.tune(
            lambda trial: trained.append(trial.number) or trial.report(loss=1.0),
            {"rate": lt.Float(0.1, 1.0)},
            minimize="loss",
            max_trials=trials,
            storage=tmp_path / "s.db",
            name="s",
            progress=False,
            checkpoints=f"s3://{bucket}/runs",
        )

    with pytest.raises(CheckpointError, match=r"s3://no-such-bucket/runs.*does not exist"):
        tune("no-such-bucket")
    assert open_store(tmp_path / "s.db").names() == []
    bucket_server.mkdir("soon-gone")
    assert len(tune("soon-gone").trials) == 2
    bucket_server.rmdir("soon-gone")
    assert len(tune("soon-gone").trials) == 2  # nothing is trained, nothing has to be written
    with pytest.raises(CheckpointError, match="does not exist"):
        tune("soon-gone", trials=3)
    assert trained == [0, 1]
