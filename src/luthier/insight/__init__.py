"""What a study taught: importance, isolation, significance, diagnosis, and the report."""

from __future__ import annotations

from luthier.insight.diagnosis import diagnose

__all__ = ["diagnose"]
