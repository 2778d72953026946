"""One table of rates, worked out by hand from the sources' formulas.

Every framework's schedule is held against it. The rows are (schedule, {step: rate}).
"""

from __future__ import annotations

from math import cos, pi, sqrt

from luthier.craft.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSquareRoot,
    OneCycle,
    Polynomial,
    Step,
    WarmUpStableDecay,
)

TABLE = [
    (Constant(0.1), {0: 0.1, 7: 0.1, 100_000: 0.1}),
    (Constant(0.1, warm_up=4), {0: 0.02, 1: 0.04, 3: 0.08, 4: 0.1, 5: 0.1}),
    # He et al. 2016: 0.1, divided by 10 at 32,000 and 48,000 steps.
    (
        Step(0.1, (32_000, 48_000)),
        {0: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001, 64_000: 0.001},
    ),
    (Step(0.8, (6,), 0.5, warm_up=3), {0: 0.2, 2: 0.6, 3: 0.8, 5: 0.8, 6: 0.4}),
    (Exponential(0.1, 10, 0.5), {0: 0.1, 5: 0.1 / sqrt(2), 10: 0.05, 30: 0.0125}),
    (
        Exponential(0.1, 3, 0.5, staircase=True),
        {0: 0.1, 2: 0.1, 3: 0.05, 5: 0.05, 6: 0.025, 29: 0.1 / 512, 30: 0.1 / 1024},
    ),
    (
        Exponential(1.0, 1_000, 0.96, staircase=True, warm_up=1),
        {0: 0.5, 1: 1.0, 1_000: 1.0, 1_001: 0.96, 7_000: 0.96**6, 7_001: 0.96**7},
    ),
    (Polynomial(0.2, 100), {0: 0.2, 25: 0.15, 50: 0.1, 99: 0.002, 100: 0.0, 500: 0.0}),
    (Polynomial(0.2, 10, 2.0, 0.1, warm_up=2), {0: 0.2 / 3, 2: 0.2, 6: 0.2 * 0.325, 10: 0.02}),
    (Cosine(1.0, 60), {0: 1.0, 20: 0.75, 30: 0.5, 40: 0.25, 60: 0.0, 70: 0.0}),
    (Cosine(0.4, 14, 0.1, warm_up=2), {0: 0.4 / 3, 1: 0.8 / 3, 2: 0.4, 8: 0.22, 14: 0.04}),
    (
        CosineRestarts(1.0, 6, cycles=3, growth=2.0),
        {0: 1.0, 2: 0.75, 3: 0.5, 5: 0.5 + 0.5 * cos(5 * pi / 6), 6: 1.0, 12: 0.5, 18: 1.0, 30: 0.5}
        | {41: 0.5 + 0.5 * cos(23 * pi / 24), 42: 0.0, 99: 0.0},
    ),
    (
        CosineRestarts(0.5, 10, cycles=2, final_ratio=0.2, warm_up=4),
        {0: 0.1, 4: 0.5, 9: 0.3, 14: 0.5, 19: 0.3, 24: 0.1},
    ),
    (
        OneCycle(1.0, 100, 0.3, 0.04, 0.0),
        {0: 0.04, 15: 0.52, 30: 1.0, 65: 0.5, 100: 0.0, 101: 0.0},
    ),
    (
        WarmUpStableDecay(0.3, 100, 0.2, warm_up=9),
        {0: 0.03, 8: 0.27, 9: 0.3, 79: 0.3, 80: 0.3, 90: 0.15, 99: 0.015, 100: 0.0},
    ),
    (WarmUpStableDecay(1.0, 10, 1.0, 0.5), {0: 1.0, 5: 0.75, 10: 0.5}),
    (InverseSquareRoot(1.0), {0: 1.0, 3: 0.5, 8: 1 / 3, 9_999: 0.01}),
    # Vaswani et al. 2017 with d = 512 and 4,000 warm-up steps: the peak is 1/sqrt(512 · 4,000).
    (
        InverseSquareRoot(1 / sqrt(512 * 4_000), warm_up=4_000),
        {4_000: 6.98771243e-4, 16_000: 3.493856214e-4, 100_000: 1.397542486e-4},
    ),
]
ROWS = [(schedule, step, rate) for schedule, rates in TABLE for step, rate in rates.items()]
