"""Studies of several processes, as a script starts them that has loaded no framework."""

from __future__ import annotations

import pytest

from luthier.run import supervisor


@pytest.fixture(autouse=True)
def no_frameworks(monkeypatch):
    """Other test files had this process load all frameworks; each study would load them again."""
    monkeypatch.setattr(supervisor, "FRAMEWORKS", ())
