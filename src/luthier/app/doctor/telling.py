"""The facts and the findings as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from luthier.app.doctor.advising import Advice
from luthier.app.doctor.frameworks import Framework
from luthier.app.doctor.looking import Facts


def lines(facts: Facts, found: Sequence[Advice]) -> Iterator[str]:
    """Yield what is printed, a line each."""
    yield _line("luthier", f"{facts.luthier}, Python {facts.python}, SQLite {facts.sqlite}")
    yield _line("", facts.executable)
    yield _line("system", facts.system)
    there = ", ".join(f"{name} {version or 'MISSING'}" for name, version in facts.packages.items())
    yield _line("needs", there)
    yield _line("extras", ", ".join(e for e, lacks in facts.extras.items() if not lacks) or "none")
    for extra, lacks in facts.extras.items():
        if lacks:
            yield _line("", f"not [{extra}]: lacks {', '.join(lacks)}")
    for one in facts.frameworks:
        yield _line(one.name, _framework(one))
    bound = "" if facts.quota is None else f", {facts.quota:g} by the container's quota"
    yield _line("cores", f"{facts.cores} of {facts.cores_there}{bound}")
    for name, value in facts.threads.items():
        yield _line("", f"{name}={value}")
    yield _line("GPUs", facts.cards[0] if facts.cards else "none that nvidia-smi lists")
    for card in facts.cards[1:]:
        yield _line("", card)
    yield _line("memory", f"{_size(facts.memory_free)} free of {_size(facts.memory)}")
    storage = facts.storage
    count = "1 study" if storage.studies == 1 else f"{storage.studies} studies"
    studies = f", {count}" if storage.state == "reachable" else ""
    disk = "" if storage.free is None else f", {_size(storage.free)} free ({storage.system or '?'})"
    yield _line("storage", f"{storage.place}: {storage.state}{studies}{disk}")
    yield _line("temporary", f"{_size(facts.temporary_free)} free")
    kept = f"{facts.programs_count} compiled, {facts.programs_bytes / 2**20:.0f} MiB"
    yield _line("programs", f"{facts.programs}: {kept}" if facts.programs else "not kept")
    yield ""
    for one in found:
        yield f"{one.kind}: {one.words}"
    if not found:
        yield "nothing to complain of"


def _line(name: str, words: str) -> str:
    return f"{name:11}{words}"


def _framework(one: Framework) -> str:
    if one.state == "absent":
        return "not installed"
    if one.state == "broken":
        return f"{one.version} BROKEN: {one.error}"
    if one.state == "not asked":
        return one.version
    where = f"on {one.backend}" if one.backend else ", ".join(one.devices) or "CPU"
    return f"{one.version}, {where} ({one.seconds:.1f} s to start)"


def _size(number: float) -> str:
    return f"{number / 2**30:.1f} GiB"
