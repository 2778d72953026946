"""Lightning's and Hugging Face's trainers: reported, paused and continued, on tiny nets."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import luthier
from luthier.errors import StudyError

pytestmark = pytest.mark.frameworks
torch.set_num_threads(1)  # two threads wait for one another on a busy machine
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


def by_transformers(trial, trained=None, **options):
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
        per_device_train_batch_size=32,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=trial.seed,
        logging_strategy="no",
        **options,
    )

    class Counting(Trainer):
        def training_step(self, *args, **kwargs):
            if trained is not None:
                trained.append((trial.number, self.state.global_step))
            return super().training_step(*args, **kwargs)

    trainer = Counting(Net(), arguments, train_dataset=rows[:128], eval_dataset=rows[128:])
    luthier.transformers.fit(trial, trainer)
    assert arguments.output_dir == "unused"  # as the caller gave them
    assert arguments.num_train_epochs == options.get("num_train_epochs", 3)


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


def tuned_by_transformers(epochs=4, scheduler=None, storage="memory", **options):
    return luthier.tune(
        lambda trial: by_transformers(trial, **options),
        SPACE,
        minimize="eval_loss",
        epochs=epochs,
        scheduler=scheduler,
        searcher="sobol",
        max_trials=1 if scheduler is None else None,
        name="arguments",
        storage=storage,
        progress=False,
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eval_strategy": "epoch"},
        {"save_strategy": "epoch", "eval_strategy": "epoch", "num_train_epochs": 4},
        {"save_steps": 3, "eval_strategy": "steps", "eval_steps": 3, "save_only_model": True},
        {
            "save_strategy": "best",
            "eval_strategy": "epoch",
            "metric_for_best_model": "eval_loss",
            "load_best_model_at_end": True,
        },
    ],
)
def test_each_epoch_is_reported_once_whatever_the_arguments_say(options):
    [plain] = tuned_by_transformers(save_strategy="no").trials
    [trial] = tuned_by_transformers(**options).trials
    assert [metrics["epoch"] for metrics in trial.metrics] == [
        1,
        2,
        3,
        4,
    ]  # the trainer's own count
    assert list(trial.losses) == list(plain.losses)
    assert len(set(trial.losses)) == 4


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_a_trial_is_as_long_as_the_study_says(epochs):
    trained = []
    [trial] = tuned_by_transformers(epochs, trained=trained).trials
    assert [metrics["epoch"] for metrics in trial.metrics] == list(range(1, epochs + 1))
    assert len(trained) == 4 * epochs  # steps of an epoch


def test_no_epoch_is_trained_twice(tmp_path):
    trained = []
    halving = luthier.SuccessiveHalving(epochs=4, trials=4, factor=4)
    result = tuned_by_transformers(
        None, halving, tmp_path / "studies.db", trained=trained, save_steps=3, save_only_model=True
    )
    assert sorted(t.step for t in result.trials) == [1, 1, 1, 4]
    assert sorted(trained) == [
        (t.number, step) for t in result.trials for step in range(4 * t.step)
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_steps": 10}, "max_steps=10 .* 4 epochs"),
        ({"num_train_epochs": 6}, "num_train_epochs=6 .* 4 epochs.*epochs=6"),
        ({"num_train_epochs": 0.5}, "num_train_epochs=0.5"),
    ],
)
def test_arguments_that_contradict_the_study(options, words):
    with pytest.raises(StudyError, match=words):
        tuned_by_transformers(**options)


def test_training_data_without_an_end():
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield {"x": X[0], "labels": Y[0]}

    def train(trial):
        from transformers import Trainer, TrainingArguments

        arguments = TrainingArguments("unused", max_steps=4, report_to=[], use_cpu=True)
        model = torch.nn.Linear(6, 2)
        trainer = Trainer(model, arguments, train_dataset=Endless(), eval_dataset=[{"x": X[0]}])
        luthier.transformers.fit(trial, trainer)

    with pytest.raises(StudyError, match="Endless has no length"):
        luthier.tune(
            train, SPACE, minimize="eval_loss", epochs=1, max_trials=1, name="endless", storage="memory"
        )  # fmt: skip


def test_every_set_that_is_evaluated_on_is_reported():
    def train(trial):
        from transformers import Trainer

        class Two(Trainer):
            def __init__(self, *args, eval_dataset, **kwargs):
                super().__init__(
                    *args, eval_dataset={"near": eval_dataset, "far": eval_dataset[:8]}, **kwargs
                )

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("transformers.Trainer", Two)
            by_transformers(trial)

    result = luthier.tune(
        train, SPACE, minimize="eval_near_loss", epochs=1, scheduler=None, max_trials=1,
        name="sets", storage="memory", progress=False,
    )  # fmt: skip
    assert {"eval_near_loss", "eval_far_loss"} <= set(result.best.metrics[0])


def tuned_by_lightning(train):
    return luthier.tune(
        train, SPACE, minimize="val_loss", name="quiet", storage="memory", progress=False,
        scheduler=luthier.SuccessiveHalving(epochs=2, trials=2, factor=2),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning:lightning")
def test_lightning_says_nothing():
    pytest.importorskip("lightning.pytorch")  # its loggers are at INFO from here on
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    said = []

    class Heard(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())

    heard = Heard()
    loggers = [logger, logging.getLogger("lightning.fabric")]
    for one in loggers:
        one.addHandler(heard)
    try:
        result = tuned_by_lightning(by_lightning)
    finally:
        for one in loggers:
            one.removeHandler(heard)
    assert sorted(t.step for t in result.trials) == [1, 2]
    assert said == []
    assert logger.level == level == logging.INFO


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_epochs": 99}, "max_epochs=99.*epochs= of luthier.tune"),
        ({"ckpt_path": "last.ckpt"}, "ckpt_path='last.ckpt'.*its own checkpoint"),
        ({"train_dataloaders": DataLoader(X)}, "train_dataloaders=: .*after the module"),
    ],
)
def test_what_is_not_to_be_given_to_lightning(options, words):
    def train(trial):
        luthier.lightning.fit(trial, None, **options)

    with pytest.raises(StudyError, match=words):
        tuned_by_lightning(train)
