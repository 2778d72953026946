"""The report of a study: the answer, how it was found, what was learned, and what to do next."""

from luthier.app.report.card import About, write_card
from luthier.app.report.contents import contents
from luthier.app.report.writing import write

__all__ = ["About", "contents", "write", "write_card"]
