"""Hugging Face: seeds of their own for trials, and what an heir keeps as its own."""

from __future__ import annotations

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

import luthier
from luthier.errors import StudyError
from luthier.schedule import PopulationBasedTraining

pytestmark = pytest.mark.frameworks
torch.set_num_threads(1)  # two threads wait for one another on a busy machine
X = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
ROWS = [{"x": x, "labels": (x[0] * x[1] > 0).long()} for x in X]
SPACE = {
    "learning_rate": luthier.Float(1e-4, 1e-1, scale="log"),
    "weight_decay": luthier.Float(1e-3, 0.5, scale="log"),
}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Dropout(0.2))
        self.last = torch.nn.Linear(8, 2)

    def forward(self, x, labels):
        logits = self.last(self.layers(x))
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class Seeing(TrainerCallback):
    """Notes the rate and the decay at the start of each epoch."""

    def __init__(self, seen, trial):
        self.seen, self.trial = seen, trial

    def on_epoch_begin(self, args, state, control, optimizer=None, **_):
        group = optimizer.param_groups[0]
        epoch = round(state.epoch or 0)
        self.seen[self.trial.number, epoch] = group["lr"], group["weight_decay"]


def tuned(seen=None, weights=None, scheduler=None, space=SPACE, size=16, **options):
    def train(trial):
        arguments = TrainingArguments(
            "unused", learning_rate=trial["learning_rate"], weight_decay=trial["weight_decay"],
            per_device_train_batch_size=trial.get("size", size), report_to=[], disable_tqdm=True,
            use_cpu=True, logging_strategy="no", **options,
        )  # fmt: skip
        torch.manual_seed(0)
        callbacks = [Seeing({} if seen is None else seen, trial)]
        trainer = Trainer(
            Net(), arguments, train_dataset=ROWS[:64], eval_dataset=ROWS[64:], callbacks=callbacks
        )
        luthier.transformers.fit(trial, trainer)
        assert arguments.seed == options.get("seed", 42)
        assert "_load_optimizer_and_scheduler" not in vars(trainer)
        if weights is not None:
            weights.append(trainer.model.last.weight.detach().clone())

    return luthier.tune(
        train, space, minimize="eval_loss", scheduler=scheduler, storage="memory", progress=False, name="s",
        searcher="random", **({"epochs": 2, "max_trials": 2} if scheduler is None else {}),
    )  # fmt: skip


ONE = {"learning_rate": luthier.Constant(0.01), "weight_decay": luthier.Float(0.01, 0.0100000001)}


def test_repetitions_differ_unless_the_arguments_say_a_seed():
    """Their weights begin as the same ones; the order of the rows and dropout are each trial's own."""
    weights = []
    tuned(weights=weights, space=ONE)
    assert not torch.allclose(*weights, atol=1e-4)
    weights.clear()
    tuned(weights=weights, space=ONE, seed=7)
    assert torch.allclose(*weights, atol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "reduce_lr_on_plateau"])
def test_an_heir_keeps_its_own_rate_and_decay(kind):
    seen = {}
    options = {"lr_scheduler_type": kind}
    if kind != "linear":
        options |= {"eval_strategy": "epoch", "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5}}
        options["lr_scheduler_kwargs"]["threshold"] = 0.9
    scheduler = PopulationBasedTraining(4, population=4, interval=1)
    trials = tuned(seen, scheduler=scheduler, **options).trials
    heirs = [t for t in trials if t.parent >= 0]
    assert heirs
    for trial in heirs:
        peak, decay = trial.configuration["learning_rate"], trial.configuration["weight_decay"]
        for step in trial.steps:
            # A linear schedule falls to 0 after all epochs; the first of the plateau's is its best.
            share = 1 - (step - 1) / 4 if kind == "linear" else 0.5 ** max(0, step - 2)
            assert seen[trial.number, step - 1] == (pytest.approx(peak * share), decay)
    assert len({t.configuration["weight_decay"] for t in trials}) > 4


def test_an_heir_cannot_have_another_batch_size():
    space = {**SPACE, "size": luthier.Int(8, 32)}
    scheduler = PopulationBasedTraining(3, population=4, interval=1, explores=("size",))
    with pytest.raises(StudyError, match=r"is to go on from a trial with .* Leave the batch size"):
        tuned(space=space, scheduler=scheduler)
