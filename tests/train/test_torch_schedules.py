"""PyTorch's schedules over a pause: tied to the rung, composed, wrapped; and what an heir keeps as its own."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.optim import lr_scheduler as of

from luthier.craft import schedules
from luthier.torch import State

pytestmark = pytest.mark.frameworks


def optimizer(rate=1.0, **options):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9, **options)


def warm_up(o, length):
    parts = [of.LinearLR(o, 0.1, 1.0, 2), of.CosineAnnealingLR(o, length - 2)]
    return of.SequentialLR(o, parts, [2])


def by_share(o, length):
    parts = [of.LinearLR(o, 0.1, 1.0, length // 4), of.CosineAnnealingLR(o, length)]
    return of.SequentialLR(o, parts, [length // 4])


def wrapped(o, length):
    from accelerate.scheduler import AcceleratedScheduler

    return AcceleratedScheduler(of.CosineAnnealingLR(o, length), o, step_with_optimizer=False)


TIED = {
    "cosine": of.CosineAnnealingLR,
    "polynomial": of.PolynomialLR,
    "steps": lambda o, length: of.MultiStepLR(o, [length // 2, length - 1]),
    "step": lambda o, length: of.StepLR(o, length // 4),
    "exponential": lambda o, length: of.ExponentialLR(o, 0.01 ** (1 / length)),
    "restarts": lambda o, length: of.CosineAnnealingWarmRestarts(o, length // 2),
    "longer restarts": lambda o, length: of.CosineAnnealingWarmRestarts(o, length // 4, T_mult=2),
    "function": lambda o, length: of.LambdaLR(o, lambda step: 1 - step / length),
    "one cycle": lambda o, length: of.OneCycleLR(o, 1.0, total_steps=length + 1),
    "sequence": warm_up,
    "sequence by shares": by_share,
    "sequence of functions": lambda o, length: of.SequentialLR(
        o, [of.LinearLR(o, 0.1, 1.0, 2), of.LambdaLR(o, lambda step: 1 - step / length)], [2]
    ),
    "chain": lambda o, length: of.ChainedScheduler(
        [of.LinearLR(o, 0.1, 1.0, 2), of.CosineAnnealingLR(o, length)]
    ),
    "wrapped": wrapped,
    "own": lambda o, length: schedules.as_torch(schedules.Cosine(1.0, length, warm_up=2), o),
}


def stepped(own, schedule, steps):
    """Step, and return the rate at each step, with the momentum that a cycle sets."""
    found = []
    for _ in range(steps):
        [group] = own.param_groups
        found.append((group["lr"], group["momentum"]))
        own.step()
        schedule.step()
    return found


def restored(make, folder, rungs, read="restore", rate=1.0):
    """Return the rates of one that was built anew, for another length, in each rung."""
    found, at = [], 0
    for length, to in rungs:
        own = optimizer(rate)
        schedule = make(own, length)
        state = State(optimizer=own, schedule=schedule)
        if at:
            getattr(state, read)(folder)
        found += stepped(own, schedule, to - at)
        state.save(folder)
        at = to
    return found


@pytest.mark.parametrize("name", TIED)
def test_a_schedule_tied_to_the_rung_is_that_of_the_next_one(name, tmp_path):
    make = TIED[name]
    own = optimizer()
    whole = stepped(own, make(own, 16), 16)
    found = restored(make, tmp_path, [(8, 5), (16, 16)])
    assert found[5:] == [pytest.approx(each, rel=1e-6, abs=1e-12) for each in whole[5:]]


@pytest.mark.parametrize("name", TIED)
def test_one_of_the_same_length_goes_on_bit_for_bit(name, tmp_path):
    make = TIED[name]
    own = optimizer()
    whole = stepped(own, make(own, 16), 16)
    assert restored(make, tmp_path, [(16, 3), (16, 7), (16, 16)]) == whole


@pytest.mark.parametrize("name", sorted(TIED.keys() - {"one cycle", "own"}))  # they set their peak
def test_an_heir_goes_on_from_its_own_peak(name, tmp_path):
    make = TIED[name]
    own = optimizer(0.25)
    whole = [rate for rate, _ in stepped(own, make(own, 16), 16)]
    restored(make, tmp_path, [(8, 5)], rate=1.0)
    heir = optimizer(0.25)
    schedule = make(heir, 16)
    State(optimizer=heir, schedule=schedule).inherit(tmp_path)
    found = [rate for rate, _ in stepped(heir, schedule, 11)]
    assert found == pytest.approx(whole[5:], rel=1e-6, abs=1e-12)


def test_the_first_steps_of_a_restored_schedule_do_not_warn(tmp_path):
    restored(warm_up, tmp_path, [(8, 5)])
    own = optimizer()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        State(optimizer=own, schedule=warm_up(own, 16)).restore(tmp_path)


def test_a_rate_that_was_changed_by_hand_stays(tmp_path):
    own = optimizer()
    schedule = of.LambdaLR(own, lambda step: 1.0)
    stepped(own, schedule, 2)
    own.param_groups[0]["lr"] = 0.125
    State(optimizer=own, schedule=schedule).save(tmp_path)
    again = optimizer()
    State(optimizer=again, schedule=of.LambdaLR(again, lambda step: 1.0)).restore(tmp_path)
    assert again.param_groups[0]["lr"] == 0.125


def test_two_schedules_of_one_rate_are_left_alone(tmp_path):
    def made():
        own = optimizer()
        warm = of.LambdaLR(own, lambda step: min(1.0, (step + 1) / 4))
        return own, State(optimizer=own, warm=warm, fall=of.ExponentialLR(own, 0.9))

    own, state = made()
    for name in ("warm", "fall"):
        stepped(own, state.parts[name], 3)
    state.save(tmp_path)
    again, state = made()
    state.restore(tmp_path)
    assert again.param_groups[0]["lr"] == own.param_groups[0]["lr"]


def test_an_heir_of_a_plateau_keeps_the_share_of_the_rate(tmp_path):
    def made(rate):
        own = optimizer(rate)
        plateau = of.ReduceLROnPlateau(own, factor=0.5, patience=0)
        return own, plateau, State(optimizer=own, plateau=plateau)

    own, plateau, state = made(1.0)
    for _ in range(3):  # the first one is the best
        plateau.step(1.0)
    assert own.param_groups[0]["lr"] == 0.25
    state.save(tmp_path)
    heir, plateau, state = made(0.8)
    state.inherit(tmp_path)
    assert heir.param_groups[0]["lr"] == pytest.approx(0.2)
    state.save(tmp_path)  # an heir's peak is its own
    grandchild, _, state = made(0.4)
    state.inherit(tmp_path)
    assert grandchild.param_groups[0]["lr"] == pytest.approx(0.1)
    unchanged, _, state = made(0.8)
    state.restore(tmp_path)
    assert unchanged.param_groups[0]["lr"] == pytest.approx(0.2)


def test_an_optimizer_that_has_no_rate_of_its_own(tmp_path):
    class Adaptive(torch.optim.SGD):
        """As Adafactor, which finds its rate."""

        def __init__(self, parameters, momentum):
            super().__init__(parameters, momentum=momentum)
            for group in self.param_groups:
                group["lr"] = None

    def made(momentum):
        return Adaptive([torch.nn.Parameter(torch.zeros(1))], momentum)

    State(optimizer=made(0.5)).save(tmp_path)
    heir = made(0.9)
    State(optimizer=heir).inherit(tmp_path)
    assert (heir.param_groups[0]["lr"], heir.param_groups[0]["momentum"]) == (None, 0.9)


def test_each_rank_keeps_its_own_generators(tmp_path, monkeypatch):
    """Each rank draws from its generator part; rank 0's state was what all had after a pause."""

    def made():
        return torch.Generator()

    drawn = {}
    for rank in (0, 1):
        monkeypatch.setattr("luthier.train.torch_state.rank_here", lambda rank=rank: rank)
        generator = made().manual_seed(rank)
        State(order=generator).save(tmp_path)
        drawn[rank] = torch.rand(3, generator=generator).tolist()
    for rank in (0, 1):
        monkeypatch.setattr("luthier.train.torch_state.rank_here", lambda rank=rank: rank)
        generator = made()
        State(order=generator).restore(tmp_path)
        assert torch.rand(3, generator=generator).tolist() == drawn[rank]
