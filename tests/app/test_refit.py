"""The chosen configuration trained again on all data, by a training of plain numbers and by real nets."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import luthier as lt
from luthier.app.refit import best_epoch
from luthier.errors import StudyError, TrialError
from luthier.schedule import PopulationBasedTraining
from luthier.study.chance import Chance
from luthier.study.records import TrialState

SPACE = {"rate": lt.Float(0.01, 1.0, scale="log")}


class Fitting:
    """Moves a mean towards that of the data; it is at its best after 4 epochs, whatever the rate."""

    def __init__(self, train, validation, log=None):
        self.train, self.validation, self.log = train, validation, [] if log is None else log

    examples = property(lambda self: len(self.train))

    def on_all(self, data=None):
        whole = [*self.train, *self.validation] if data is None else data
        return Fitting(whole, self.validation, self.log)

    def __call__(self, trial):
        state = State(trial.seed % 7)
        self.log.append((len(self.train), trial.to_step, trial.horizon, trial["rate"]))
        for epoch in trial.epochs(state):
            state.mean += trial["rate"] * (np.mean(self.train) - state.mean)
            state.epochs += 1
            trial.report(loss=abs(epoch + 1 - 4) + trial["rate"] + 0 * state.mean)

    def load(self, record, folder, study):
        state = State(0)
        state.restore(folder)
        return state.mean, state.epochs


class State:
    def __init__(self, mean):
        self.mean, self.epochs = float(mean), 0

    def save(self, folder):
        (folder / "mean.json").write_text(json.dumps([self.mean, self.epochs]))

    def restore(self, folder):
        self.mean, self.epochs = json.loads((folder / "mean.json").read_text())


def tuned(tmp_path, **options):
    training = Fitting([1.0, 2.0, 3.0], [4.0])
    given = {"epochs": 6, "max_trials": 3, "scheduler": None, "seed": 2, **options}
    result = lt.tune(
        training, SPACE, minimize="loss", storage=tmp_path / "s.db", progress=False, **given
    )
    training.log.clear()
    return training, result


def test_the_same_data_give_the_same_model(tmp_path):
    training, result = tuned(tmp_path)
    first = result.trials[0]
    again = result.fit(training.train, trial=first, epochs=first.best_step)
    assert again == training.load(first, result.checkpoint(first), result.study)
    assert result.fit(training.train, trial=first, epochs=first.best_step, seed=9) != again


@pytest.mark.parametrize(
    ("given", "trained"), [({}, 4), ({"keep": "updates"}, 3), ({"epochs": 9}, 9)]
)
def test_all_data_for_the_best_epochs_in_the_old_rung_and_horizon(tmp_path, given, trained):
    training, result = tuned(tmp_path)
    assert result.recommended.best_step == 4
    rate = result.recommended.configuration["rate"]
    mean, epochs = result.fit(**given)
    assert training.log == [(4, max(6, trained), max(6, trained), rate)]
    assert epochs == trained
    start = Chance(2, ("trial", 0)).of("training").integer() % 7
    assert mean == pytest.approx(2.5 + (start - 2.5) * (1 - rate) ** trained)


def test_a_raced_configuration_trains_as_long_as_its_seeds_did_in_the_middle(tmp_path):
    _, result = tuned(tmp_path, finalists=2, repetitions=3)
    history, winner = result.study.history, result.recommended
    runs = [t.best_step for t in history.repetitions.values() if t.repeats == winner.number]
    assert len(runs) >= 3
    assert best_epoch(history, winner) == sorted([winner.best_step, *runs])[len(runs) // 2]


def test_a_population_is_trained_again_by_its_schedule(tmp_path):
    training, result = tuned(
        tmp_path, epochs=None, max_trials=None, searcher="random",
        scheduler=PopulationBasedTraining(6, population=4, interval=2),
    )  # fmt: skip
    heir = next(t for t in result.trials if t.parent >= 0 and t.best_step > t.start)
    assert result.fit(trial=heir)[1] == heir.best_step
    rates = [rate for *_, rate in training.log]
    assert rates[-1] == heir.configuration["rate"]
    assert rates[0] == result.trials[heir.parent].configuration["rate"]
    with pytest.raises(StudyError, match="changed its hyperparameters on the way"):
        result.fit(trial=heir, epochs=3)


def test_where_it_cannot_be(tmp_path):
    training, result = tuned(tmp_path)
    with pytest.raises(StudyError, match="keep must be 'epochs' or 'updates', got 'steps'"):
        result.fit(keep="steps")
    with pytest.raises(StudyError, match="epochs must be a whole number above 0, or None, got 0"):
        result.fit(epochs=0)
    with pytest.raises(TrialError, match="trained again on all data, diverged at epoch 1"):
        result.fit([math.nan])
    own = lt.tune(
        lambda trial: training(trial), SPACE, minimize="loss", epochs=6, max_trials=2, scheduler=None,
        storage="memory", progress=False,
    )  # fmt: skip
    with pytest.raises(StudyError, match=r"training loop is your own.*for 4 epochs"):
        own.fit()


def test_a_space_that_was_narrowed_since(tmp_path):
    """The build function still asks for the old range; the configuration is the one that was found."""

    def build(trial):
        return trial.hp.float("rate", 0.01, 1.0, scale="log")

    class Asking(Fitting):
        def __call__(self, trial):
            self.log.append(build(trial))
            trial.report(loss=abs(self.log[-1] - 0.1))
            list(trial.epochs(State(0)))

        def on_all(self, data=None):
            return self

    training = Asking([1.0], [2.0])
    call = {
        "minimize": "loss",
        "epochs": 1,
        "scheduler": None,
        "storage": "memory",
        "progress": False,
    }
    result = lt.tune(training, None, max_trials=2, **call)
    result.study.steer.space(lt.Space(rate=lt.Float(0.09, 0.2, scale="log")), "closer")
    chosen = result.recommended.configuration["rate"]
    with pytest.raises(lt.LuthierError):
        result.fit()  # there is no checkpoint to load: what counts is what was asked for
    assert training.log[-1] == chosen


# -- real nets ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    data = lt.datasets.fashion_mnist("subset")
    return tuple((x[:400].reshape(-1, 784), y[:400]) for x, y in (data.train, data.validation))


@pytest.mark.frameworks
def test_torch(images):
    import torch
    from torch import nn

    def build(hp):
        model = nn.Sequential(nn.Linear(784, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 10))
        optimizer = torch.optim.Adam(model.parameters(), hp.float("rate", 1e-3, 1e-2, scale="log"))
        return model, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, hp.horizon)

    result = lt.torch.tune(
        build, images, epochs=3, max_trials=1, scheduler=None, storage="memory", progress=False
    )
    [trial] = result.trials
    same = result.fit(images[0], epochs=trial.best_step)
    for name, value in result.model().state_dict().items():
        assert torch.equal(same.state_dict()[name], value)
    seen = result.fit()
    assert not seen.training
    assert not torch.equal(seen[0].weight, same[0].weight)
    with pytest.raises(StudyError, match=r"all the examples, \(x, y\)"):
        result.fit(images[0][0])


@pytest.mark.frameworks
def test_jax(images):
    import jax
    import jax.numpy as jnp

    def build(hp, key):
        rate = hp.float("rate", 1e-2, 1e-1, scale="log")
        weights = jax.random.normal(key, (784, 10)) / 28

        def measure(weights, batch):
            logits = batch[0] @ weights
            loss = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(batch[1])), batch[1]])
            return loss, {"loss": loss, "accuracy": jnp.mean(logits.argmax(1) == batch[1])}

        def step(weights, batch):
            gradient, metrics = jax.grad(measure, has_aux=True)(weights, batch)
            return weights - rate * gradient, metrics

        return weights, step, lambda weights, batch: measure(weights, batch)[1]

    result = lt.jax.tune(
        build, images, epochs=3, max_trials=1, scheduler=None, storage="memory", progress=False
    )
    [trial] = result.trials
    same = result.fit(images[0], epochs=trial.best_step)
    assert jnp.array_equal(same, result.model())
    seen = result.fit()
    assert seen.shape == (784, 10)
    assert not jnp.array_equal(seen, same)


def test_seeds_that_did_not_go_to_their_end_do_not_tell_how_long_to_train(tmp_path):
    _, result = tuned(tmp_path, finalists=2, repetitions=3)
    history, winner = result.study.history, result.recommended
    runs = [t for t in history.repetitions.values() if t.repeats == winner.number]
    best, states = winner.best_step, [t.state for t in runs]
    try:
        for run, state in zip(runs, (TrialState.DIVERGED, TrialState.STOPPED), strict=False):
            run.state, run.best_step = state, 1
        whole = [t.best_step for t in runs[2:]]
        assert best_epoch(history, winner) == sorted([best, *whole])[len(whole) // 2]
    finally:
        for run, state in zip(runs, states, strict=True):
            run.state = state
