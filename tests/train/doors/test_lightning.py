"""Lightning: what a pause must not lose of schedules and callbacks, and what an heir keeps as its own."""

from __future__ import annotations

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch.optim import lr_scheduler as of
from torch.utils.data import DataLoader, TensorDataset

import luthier
from luthier.schedule import PopulationBasedTraining

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore::UserWarning:lightning")]
torch.set_num_threads(1)  # two threads wait for one another on a busy machine
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(64, 3, generator=GENERATOR)
Y = X.sum(1, keepdim=True) + torch.randn(64, 1, generator=GENERATOR)
SPACE = {
    "learning_rate": luthier.Float(1e-3, 0.3, scale="log"),
    "weight_decay": luthier.Float(1e-4, 0.1, scale="log"),
}


class Net(pl.LightningModule):
    """A line whose rate and own metric are logged at the end of each epoch, after the callbacks' hook."""

    def __init__(self, trial, schedule):
        super().__init__()
        torch.manual_seed(trial.seed)
        self.trial, self.schedule = trial, schedule
        self.layer = torch.nn.Linear(3, 1)
        self.seen = []

    def training_step(self, batch, index):
        if index == 0:
            [group] = self.trainer.optimizers[0].param_groups
            self.seen.append((group["lr"], group["weight_decay"]))
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))

    def on_train_epoch_end(self):
        self.log("rate", self.seen[-1][0])
        self.log("decay", self.seen[-1][1])

    def configure_optimizers(self):
        trial = self.trial
        optimizer = torch.optim.SGD(
            self.parameters(), trial["learning_rate"], weight_decay=trial["weight_decay"]
        )
        return self.schedule(self, optimizer)


def one_cycle(net, optimizer):
    steps = net.trainer.estimated_stepping_batches
    schedule = of.OneCycleLR(optimizer, net.trial["learning_rate"], total_steps=steps)
    return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def cosine(net, optimizer):
    return [optimizer], [of.CosineAnnealingLR(optimizer, net.trainer.max_epochs)]


def of_the_rung(net, optimizer):
    return [optimizer], [of.CosineAnnealingLR(optimizer, net.trial.to_step)]


def plateau(net, optimizer):
    schedule = of.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5, factor=0.5)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}


def tuned(schedule, name="s", callbacks=lambda: None, modules=None, trainer=None, **options):
    def train(trial):
        net = Net(trial, schedule)
        if modules is not None:
            modules.append(net)
        luthier.lightning.fit(
            trial, net, DataLoader(TensorDataset(X[:32], Y[:32]), 8),
            DataLoader(TensorDataset(X[32:], Y[32:]), 32), accelerator="cpu", num_sanity_val_steps=0,
            callbacks=callbacks(), log_every_n_steps=1, **(trainer or {}),
        )  # fmt: skip

    options = {"epochs": 8, "searcher": "sobol", "storage": "memory", "seed": 3} | options
    return luthier.tune(train, SPACE, minimize="val_loss", name=name, progress=False, **options)


def halved(schedule, **options):
    """Tune four trials: each is paused after two epochs, and the best goes on."""
    halving = luthier.SuccessiveHalving(epochs=8, trials=4, factor=4)
    return tuned(schedule, scheduler=halving, epochs=None, **options)


@pytest.mark.parametrize("schedule", [one_cycle, cosine, plateau])
def test_schedules_go_on_as_if_nobody_had_paused(schedule):
    few = halved(schedule).trials
    whole = tuned(schedule, scheduler=None, max_trials=4).trials
    assert sorted(t.step for t in few) == [2, 2, 2, 8]
    for a, b in zip(few, whole, strict=True):
        assert a.configuration == b.configuration
        for paused, through in zip(a.metrics, b.metrics, strict=False):
            assert paused == pytest.approx(through, rel=1e-6)
    [best] = [t for t in few if t.step == 8]
    rates = best.curve("rate") if hasattr(best, "curve") else [m["rate"] for m in best.metrics]
    assert len({round(float(rate), 9) for rate in rates}) > 3


def test_a_schedule_of_the_rung_becomes_that_of_the_next_one():
    few = halved(of_the_rung).trials
    [best] = [t for t in few if t.step == 8]
    peak = best.configuration["learning_rate"]
    whole = [peak * (1 + torch.cos(torch.tensor(torch.pi * e / 8)).item()) / 2 for e in range(8)]
    assert [m["rate"] for m in best.metrics][2:] == pytest.approx(whole[2:], rel=1e-5)


def test_an_heir_keeps_its_own_rate_and_decay():
    modules = []
    result = tuned(
        cosine, scheduler=PopulationBasedTraining(6, population=4, interval=2), epochs=None,
        modules=modules,
    )  # fmt: skip
    heirs = [t for t in result.trials if t.parent >= 0]
    assert heirs
    for trial in heirs:
        peak = trial.configuration["learning_rate"]
        cosines = [(1 + torch.cos(torch.tensor(torch.pi * e / 6)).item()) / 2 for e in range(6)]
        rates = [peak * cosines[step - 1] for step in trial.steps]
        assert [m["rate"] for m in trial.metrics] == pytest.approx(rates, rel=1e-5)
        decays = {round(m["decay"], 7) for m in trial.metrics}
        assert decays == {round(trial.configuration["weight_decay"], 7)}
    assert len({t.configuration["weight_decay"] for t in result.trials}) > 4


def test_callbacks_that_wait_have_waited_for_all_epochs(tmp_path):
    """They see an epoch before its checkpoint is written, whatever their place in the list."""
    patience, seen = 6, []

    def callbacks():
        class Never(EarlyStopping):
            def on_train_start(self, trainer, pl_module):
                seen.append((pl_module.trial.number, trainer.current_epoch, self.wait_count))

        # No loss is better than the first one by so much.
        return [Never("val_loss", min_delta=100.0, patience=patience, check_finite=False)]

    result = halved(cosine, callbacks=callbacks)
    [(number, epoch, waited)] = [each for each in seen if each[1]]
    assert (epoch, waited) == (2, 1)
    assert result.trials[number].step == 1 + patience  # and then it ends the trial by itself


@pytest.mark.parametrize("one", [None, (), "early", "early and checkpoints"])
def test_callbacks_as_lightning_takes_them(one, tmp_path):
    def callbacks():
        early = EarlyStopping("val_loss", patience=20)
        kept = ModelCheckpoint(tmp_path, monitor="rate", save_top_k=-1)
        return {"early": early, "early and checkpoints": [kept, early]}.get(one, one)

    trainer = {"enable_checkpointing": True} if one == "early and checkpoints" else {}
    result = tuned(cosine, callbacks=callbacks, max_trials=1, epochs=2, trainer=trainer)
    assert [t.step for t in result.trials] == [2]
    assert len(list(tmp_path.iterdir())) == (2 if trainer else 0)


def test_the_studys_word_is_before_the_trainers_least_epochs():
    result = halved(cosine, trainer={"min_epochs": 6, "min_steps": 30})
    assert sorted(t.step for t in result.trials) == [2, 2, 2, 8]
