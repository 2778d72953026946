"""What the comparisons share: threads held to one, the words around a section, and its place."""

from __future__ import annotations

import datetime
import os
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
FIGURES = RESULTS.with_name("figures")
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")


def one_thread() -> None:
    """Hold this process and its children to one thread each; call it before numpy is imported."""
    for library in THREADS:
        os.environ[f"{library}_NUM_THREADS"] = "1"


def conditions(
    program: str, versions: Iterable[str], threads: str = "one thread each"
) -> list[str]:
    """Return when, how and where this ran."""
    command = " ".join([f"python benchmarks/{program}", *sys.argv[1:]])
    return [
        f"- {datetime.date.today():%Y-%m-%d}, `{command}`",
        f"- {os.cpu_count()} cores ({processor()}), {platform.system()}; load average at the end "
        f"{os.getloadavg()[0]:.1f}; {threads}",
        f"- Python {platform.python_version()}; {', '.join(sorted(set(versions)))}",
    ]


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())):
        return found[1]
    return platform.processor() or platform.machine()


def write_section(title: str, text: str) -> None:
    """Put a section into RESULTS.md, in the place of its last version, the others as they are."""
    before = RESULTS.read_text() if RESULTS.exists() else "# Results of the benchmarks\n"
    others = re.sub(rf"(?ms)^## {title}\n.*?(?=^## |\Z)", "", before).rstrip()
    RESULTS.write_text(f"{others}\n\n{text.rstrip()}\n")


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def verdict(goal: str, met: bool, value: str) -> str:
    return f"- Goal: {goal}: {value}. **{'PASS' if met else 'FAIL'}**"
