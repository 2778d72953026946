"""What a study taught: importance, isolation, significance, diagnosis, and the report."""

from __future__ import annotations

from luthier.insight.importance import Importance, importance
from luthier.insight.interactions import Interaction, interactions
from luthier.insight.pictures import picture

__all__ = ["Importance", "Interaction", "importance", "interactions", "picture"]
