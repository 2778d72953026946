"""Heaton's three rules of thumb for the width of a hidden layer, and where they disagree.

Source: Jeff Heaton, "Introduction to Neural Networks for Java", 2nd ed. 2008, chapter 5, "The number of
neurons in the hidden layers". They are from a time of one hidden layer and no regularisation, when a net
was kept from overfitting by keeping it small.
"""

from __future__ import annotations

from dataclasses import dataclass

from luthier.errors import SpaceError

_CUSTOMARY = (32, 1024)  # hidden widths of nets for tables and small images since about 2012


@dataclass(frozen=True)
class Rules:
    """What the rules say of one net, in units.

    Attributes:
        between: rule 1, "between the size of the input layer and the size of the output layer": both
            ends, the smaller first.
        two_thirds: rule 2, "2/3 the size of the input layer, plus the size of the output layer",
            rounded.
        below: rule 3, "less than twice the size of the input layer": the first that is too many.
    """

    between: tuple[int, int]
    two_thirds: int
    below: int


def rules(inputs: int, outputs: int) -> Rules:
    """Return what the rules say: for 784 inputs and 10 outputs 10 to 784, 533, and below 1,568.

    Raises:
        SpaceError: less than one input or output.
    """
    if inputs < 1 or outputs < 1:
        raise SpaceError(
            f"inputs={inputs!r}, outputs={outputs!r}: expected how many numbers go into the net and "
            "come out of it, 1 or more."
        )
    two_thirds = (4 * inputs + 6 * outputs + 3) // 6  # 2/3 inputs + outputs, in whole numbers
    return Rules((min(inputs, outputs), max(inputs, outputs)), two_thirds, 2 * inputs)


def disagreements(inputs: int, outputs: int, examples: int | None = None) -> list[str]:
    """Return a sentence for each contradiction between the rules, or between them and practice.

    Rule 2 breaks rule 1 where outputs > inputs / 3, and rule 3 where outputs >= 4/3 inputs. Rules 1 and
    3 always have common ground, but hardly ever the same upper end: up to the lower one they agree, above
    it one allows what the other forbids. For 784 → 10 rule 2's 533 keeps both other rules; what
    disagrees there is rule 3, which allows 784 to 1,567, with rule 1, which does not.

    Args:
        inputs: numbers in one example.
        outputs: numbers that the net returns.
        examples: how many training examples there are, if known.

    Raises:
        SpaceError: less than one of any.
    """
    found = rules(inputs, outputs)
    low, high = found.between
    words: list[str] = []
    if not low <= found.two_thirds <= high:
        words.append(
            f"Rule 2 (2/3 of the inputs plus the outputs: {found.two_thirds}) contradicts rule 1 "
            f"(between inputs and outputs: {low} to {high}), as it always does with more outputs "
            "than a third of the inputs. We search both."
        )
    if found.two_thirds >= found.below:
        words.append(
            f"Rule 2 ({found.two_thirds}) contradicts rule 3 (less than twice the inputs: below "
            f"{found.below}), as it always does with 4/3 as many outputs as inputs or more. We search "
            "both."
        )
    most = found.below - 1
    if most > high:
        words.append(
            f"Rule 3 allows up to {most} units, rule 1 no more than {high}: they disagree above "
            f"{high}. We take neither for a border: with weight decay, dropout or early stopping a "
            "wider net is slower, seldom worse (Neyshabur et al. 2014, arXiv 1412.6614)."
        )
    elif most < high:
        words.append(
            f"Rule 1 allows up to {high} units, rule 3 no more than {most}: they disagree above "
            f"{most}. We take neither for a border."
        )
    return words + _against_practice(inputs, outputs, found, examples)


def _against_practice(inputs: int, outputs: int, found: Rules, examples: int | None) -> list[str]:
    words: list[str] = []
    usual_low, usual_high = _CUSTOMARY
    if max(found.between[1], found.two_thirds, found.below) <= usual_low:
        words.append(
            f"All rules stay at or below {usual_low} units, and nets for so few inputs are today made "
            f"with up to some hundreds. We search up to these."
        )
    if found.two_thirds > usual_high:
        words.append(
            f"Rule 2 asks for {found.two_thirds:,} units, since it counts every input as if it said "
            "something of its own; pixels do not. Start narrower, or with layers that share weights."
        )
    weights = (inputs + 1) * found.two_thirds + (found.two_thirds + 1) * outputs
    if examples is not None and weights > examples:
        words.append(
            f"With rule 2's {found.two_thirds} units there are {weights:,} parameters for {examples:,} "
            f"examples ({weights / examples:.1f} each), and the rules do not know that: they name no "
            "number of examples. Search weight decay and dropout along with the width."
        )
    return words
