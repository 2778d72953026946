"""Runs every Python block of README and docs, in a folder of its own."""

from __future__ import annotations

import os
import tempfile

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser


def setup(namespace):
    namespace["_back"] = os.getcwd()
    os.chdir(tempfile.mkdtemp(prefix="luthier-docs-"))


def teardown(namespace):
    os.chdir(namespace["_back"])


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=setup,
    teardown=teardown,
).pytest()
