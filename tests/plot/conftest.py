"""A study to draw, made once."""

import pytest
from drawn_studies import made

from luthier.study.history import History


@pytest.fixture(scope="session")
def history() -> History:
    return made()
