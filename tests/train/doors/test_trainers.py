"""Lightning's and Hugging Face's trainers: reported, paused and continued, on tiny nets."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import luthier

pytestmark = pytest.mark.frameworks
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(192, 6, generator=GENERATOR)
Y = (X[:, 0] * X[:, 1] > 0).long()
SPACE = {"learning_rate": luthier.Float(1e-4, 1.0, scale="log")}


def by_lightning(trial):
    import lightning.pytorch as pl

    class Net(pl.LightningModule):
        def __init__(self, rate):
            super().__init__()
            torch.manual_seed(trial.seed)
            self.rate = rate
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)
            )

        def training_step(self, batch, _):
            return torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

        def validation_step(self, batch, _):
            loss = torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
            self.log("val_loss", loss)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), self.rate)

    luthier.lightning.fit(
        trial,
        Net(trial["learning_rate"]),
        DataLoader(TensorDataset(X[:128], Y[:128]), 32),
        DataLoader(TensorDataset(X[128:], Y[128:]), 64),
        accelerator="cpu",
        num_sanity_val_steps=1,
    )


def by_transformers(trial):
    from transformers import Trainer, TrainingArguments

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)
            )

        def forward(self, x, labels):
            logits = self.layers(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    torch.manual_seed(trial.seed)
    rows = [{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)]
    arguments = TrainingArguments(
        "unused",
        learning_rate=trial["learning_rate"],
        num_train_epochs=4,
        per_device_train_batch_size=32,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=trial.seed,
        logging_strategy="no",
        save_strategy="no",
    )
    trainer = Trainer(Net(), arguments, train_dataset=rows[:128], eval_dataset=rows[128:])
    luthier.transformers.fit(trial, trainer)


@pytest.mark.parametrize(
    ("train", "metric"), [(by_lightning, "val_loss"), (by_transformers, "eval_loss")]
)
def test_paused_and_continued_is_as_trained_through(train, metric, tmp_path):
    def tuned(name, **options):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="lightning")
            return luthier.tune(
                train,
                SPACE,
                minimize=metric,
                epochs=4,
                searcher="sobol",
                name=name,
                storage=tmp_path / "studies.db",
                progress=False,
                **options,
            )

    whole = tuned("whole", scheduler=None, max_trials=4)
    assert [t.step for t in whole.trials] == [4] * 4
    halving = luthier.SuccessiveHalving(epochs=4, trials=4, factor=4)
    few = tuned("few", scheduler=halving)
    assert sorted(t.step for t in few.trials) == [1, 1, 1, 4]
    for a, b in zip(few.trials, whole.trials, strict=True):
        assert a.configuration == b.configuration
        assert list(a.losses) == pytest.approx(list(b.losses[: a.step]), rel=1e-6)
    assert len(set(whole.best.losses)) == 4
