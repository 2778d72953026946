"""Studies to draw: made by the real study, without training."""

import math

import luthier
from luthier.study.history import History


def made(trials: int = 40, *, epochs: int = 9, scheduler: str | None = "asha") -> History:
    space = luthier.Space(
        learning_rate=luthier.Float(1e-4, 1.0, scale="log"),
        momentum=luthier.Float(0.5, 0.99, scale="one_minus_log"),
        units=luthier.Int(16, 512, scale="log"),
        optimizer=luthier.Choice("sgd", "adam"),
    )

    def train(trial: luthier.Trial) -> None:
        rate, units = trial["learning_rate"], trial["units"]
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            loss = (math.log10(rate) + 2) ** 2 + abs(math.log2(units / 128)) / (epoch + 1)
            trial.report(loss=math.nan if rate > 0.5 else loss)

    return luthier.tune(
        train,
        space,
        minimize="loss",
        searcher="random",
        scheduler=scheduler,
        epochs=epochs,
        max_trials=trials,
        storage="memory",
        seed=3,
        progress=False,
    ).study.history
