"""``luthier doctor``: what is here, what is broken, and what would make it faster."""

from luthier.app.doctor.advising import Advice, advise
from luthier.app.doctor.looking import Facts, look

__all__ = ["Advice", "Facts", "advise", "look"]
