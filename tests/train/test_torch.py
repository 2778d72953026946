"""PyTorch on real images: what was paused goes on bit for bit, and what goes wrong is told."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch  # before all that imports it
from pausing import Pausing, curves, run
from promoting import PROMOTING, check, compared, population
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset

import luthier
import luthier.train.torch as training_module
from luthier.datasets import fashion_mnist
from luthier.errors import CheckpointError, Infeasible, StudyError
from luthier.schedule import SCHEDULERS
from luthier.space import HyperParameters, discover
from luthier.study.records import TrialState
from luthier.torch import State, tune
from luthier.train.torch import Training, tensors

pytestmark = [
    pytest.mark.frameworks,
    # What is paused here has a cosine over all epochs, for a checkpoint to lose.
    pytest.mark.filterwarnings("ignore:The learning-rate schedule:luthier.errors.LuthierWarning"),
]
torch.set_num_threads(1)  # two threads wait for one another on a busy machine


def subset():
    data = fashion_mnist("subset")
    return tuple((x[:1_000], y[:1_000]) for x, y in (data.train, data.validation))


def net(units):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, units),
        nn.BatchNorm1d(units),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(units, 10),
    )


def build(hp):
    """Return a net with all that a checkpoint can forget."""
    model = net(hp.int("units", 16, 32, step=16))
    rate = hp.float("learning_rate", 1e-3, 1e-2, scale="log")
    optimizer = torch.optim.Adam(model.parameters(), rate)
    return model, optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 6)


def loop(trial):
    """Train the same in a loop of one's own, with light from numpy and labels noised by Python."""
    (x, y), (x_val, y_val) = tensors(subset())
    x, y = x[:500], y[:500].clone()
    model, optimizer, schedule = build(trial.hp)
    loader = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)
    for _ in trial.epochs(State(model=model, optimizer=optimizer, schedule=schedule)):
        model.train()
        losses = []
        for inputs, targets in loader:
            noise = np.random.normal(0, 0.1)
            targets[0] = random.randrange(10)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs + noise), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        model.eval()
        with torch.no_grad():
            accuracy = (model(x_val).argmax(1) == y_val).float().mean()
        trial.report(loss=np.mean(losses), val_accuracy=accuracy)


def training():
    return Training(build, *tensors(subset()))


def both():
    return {"loop": loop, "training": training()}


# -- continued = uninterrupted -----------------------------------------------------------------


@pytest.fixture(scope="module")
def space():
    return discover(build)


@pytest.fixture(scope="module")
def whole(space, tmp_path_factory):
    """Return the curves of two trials that nobody paused."""
    folder = tmp_path_factory.mktemp("whole")
    return {k: curves(run(t, folder / k, (6,), space=space, trials=2)) for k, t in both().items()}


def test_two_trials_in_turns_have_the_numbers_of_two_that_nobody_paused(whole, space, tmp_path):
    study = run(loop, tmp_path, (1, 3, 5, 6), space=space, trials=2)
    assert [list(t.steps) for t in study.trials] == [[1, 2, 3, 4, 5, 6]] * 2
    assert curves(study) == whole["loop"]
    assert whole["loop"][0] != whole["loop"][1]


def test_tune_goes_on_bit_for_bit_too(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(SCHEDULERS, "pausing", Pausing)
    result = tune(build, subset(), scheduler=Pausing(), storage=tmp_path / "a.db", progress=False)
    assert curves(result.study) == whole["training"][:1]


def test_a_trial_goes_on_in_a_fresh_process_as_in_this_one(whole, space, tmp_path):
    for kind, train in both().items():
        run(train, tmp_path / kind, (3, 5, 6), space=space, jobs=1)
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from pausing import run; from test_torch import both\n"
            "for kind, train in both().items(): run(train, pathlib.Path(sys.argv[1]) / kind)",
            str(tmp_path),
        ],
        check=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    for kind in both():
        study = run(None, tmp_path / kind, jobs=0)
        assert study.trials[0].state is TrialState.COMPLETED
        assert curves(study) == whole[kind][:1]


def test_the_same_seed_gives_the_same_curves_and_another_one_others(tmp_path):
    found = [
        tune(
            build,
            subset(),
            epochs=2,
            max_trials=2,
            seed=seed,
            storage=tmp_path / f"{number}.db",
            progress=False,
        )
        for number, seed in enumerate((3, 3, 4))
    ]
    first, again, other = (curves(result.study) for result in found)
    assert first == again
    assert first != other


def averaged_loop(trial):
    """Train with clipped gradients, moving averages of the weights and a plateau, in one's own loop."""
    (x, y), (x_val, y_val) = tensors(subset())
    x, y = x[:300], y[:300]
    model, optimizer, _ = build(trial.hp)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
    state = State(model=model, optimizer=optimizer, average=average, plateau=plateau)
    loader = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)
    for _ in trial.epochs(state):
        model.train()
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            average.update_parameters(model)
        average.eval()
        with torch.no_grad():
            outputs = average(x_val)
        validation = nn.functional.cross_entropy(outputs, y_val)
        plateau.step(validation)
        trial.report(
            norm=norm,
            rate=optimizer.param_groups[0]["lr"],
            val_loss=validation,
            val_accuracy=(outputs.argmax(1) == y_val).float().mean(),
        )


@pytest.mark.parametrize("scheduler", PROMOTING)
def test_every_scheduler_promotes_without_loss(scheduler, space, tmp_path):
    found = compared(averaged_loop, space, tmp_path, scheduler)
    check(found)
    rates = [metrics["rate"] for _, _, whole in found for _, metrics in whole]
    assert len(set(rates)) > len(found)  # the plateau was met


def test_a_population_copies_weights_and_changes_rates(space, tmp_path):
    study = population(training(), space, tmp_path)
    assert len({round(t.configuration["learning_rate"], 9) for t in study.trials}) > 4


def test_an_heir_keeps_its_own_hyperparameters(tmp_path):
    """All but them comes from the parent; a schedule goes on from the heir's peak."""

    def made(rate, momentum):
        layer = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(layer.parameters(), lr=rate, momentum=momentum)
        return layer, optimizer, lr_scheduler.ExponentialLR(optimizer, 0.5)

    layer, optimizer, schedule = made(0.1, 0.9)
    for _ in range(2):
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        schedule.step()
    State(model=layer, optimizer=optimizer, schedule=schedule).save(tmp_path)
    heir, own, ahead = made(0.4, 0.5)
    State(model=heir, optimizer=own, schedule=ahead).inherit(tmp_path)
    assert torch.equal(heir.weight, layer.weight)
    [group] = own.param_groups
    assert (group["momentum"], group["initial_lr"]) == (0.5, 0.4)
    assert group["lr"] == pytest.approx(0.4 * 0.25)
    assert torch.equal(
        own.state[heir.weight]["momentum_buffer"], optimizer.state[layer.weight]["momentum_buffer"]
    )
    ahead.step()
    assert own.param_groups[0]["lr"] == pytest.approx(0.4 * 0.125)


# -- what goes wrong ---------------------------------------------------------------------------


def test_a_diverging_trial_ends_and_the_study_goes_on(tmp_path):
    def wild(hp):
        model = net(16)
        return model, torch.optim.SGD(model.parameters(), hp.choice("rate", [1e30, 1e-2]))

    result = tune(
        wild, subset(), epochs=2, searcher="grid", storage=tmp_path / "a.db", progress=False
    )
    states = {t.configuration["rate"]: t.state for t in result.trials}
    assert states == {1e30: TrialState.DIVERGED, 1e-2: TrialState.COMPLETED}
    assert result.configuration == {"rate": 1e-2}


def test_an_error_in_build_is_the_users_own(tmp_path):
    def broken(hp):
        if isinstance(hp, HyperParameters):  # not while the space is looked for: in the trial
            raise ZeroDivisionError
        model = net(hp.int("units", 1, 4))
        return model, torch.optim.SGD(model.parameters(), 0.1)

    with pytest.raises(ZeroDivisionError):
        tune(broken, subset(), epochs=1, max_trials=1, storage=tmp_path / "a.db", progress=False)


@pytest.mark.parametrize("error", [Infeasible("pooled away"), MemoryError("too large")])
def test_what_cannot_be_built_fails_its_trials_alone(tmp_path, error):
    def picky(hp):
        if hp.choice("kind", ["good", "bad"]) == "bad":
            raise error
        return build(hp)

    result = tune(
        picky,
        subset(),
        epochs=1,
        max_trials=4,
        searcher="random",
        storage=tmp_path / "a.db",
        progress=False,
    )
    states = {(t.configuration["kind"], t.state) for t in result.study.trials}
    assert states == {("good", TrialState.COMPLETED), ("bad", TrialState.FAILED)}


def test_what_build_returns_is_checked(tmp_path):
    with pytest.raises(StudyError, match=r"must return \(model, optimizer\).*got Sequential"):
        tune(
            lambda hp: net(hp.int("units", 1, 4)),
            subset(),
            epochs=1,
            max_trials=1,
            storage=tmp_path / "a.db",
            progress=False,
        )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (3, "got int"),
        (((np.ones((3, 2)), np.ones(4)), (np.ones((3, 2)), np.ones(3))), r"training .*\(4,\)"),
        (((np.ones((3, 2)), np.ones(3)), (np.ones((0, 2)), np.ones(0))), r"validation .*\(0, 2\)"),
    ],
)
def test_data_are_checked(data, words):
    with pytest.raises(StudyError, match=words):
        tensors(data)


@pytest.mark.parametrize("options", [{}, {"scheduler": "auto"}, {"scheduler": None}])
def test_a_training_without_end_is_refused(options):
    with pytest.raises(StudyError, match="epochs is missing"):
        tune(build, subset(), max_trials=1, storage="memory", **options)


# -- the loop ----------------------------------------------------------------------------------


def test_the_best_model_comes_back_as_it_was(tmp_path):
    result = tune(
        build, subset(), epochs=3, max_trials=3, storage=tmp_path / "a.db", progress=False
    )
    _, (x, y) = tensors(subset())
    model = result.model()
    assert not model.training
    with torch.no_grad():
        accuracy = (model(x).argmax(1) == y).double().mean().item()
    assert accuracy == result.best_value
    assert accuracy > 0.6


@pytest.mark.filterwarnings("ignore:batch_size")  # more than there are examples
def test_a_hyperparameter_called_batch_size_wins_and_no_batch_is_ragged(tmp_path):
    seen = set()

    def loss(outputs, targets):
        if outputs.requires_grad:
            seen.add(len(targets))
        return nn.functional.cross_entropy(outputs, targets)

    def sized(hp):
        model = net(16)
        hp.choice("batch_size", [30, 5_000])
        return model, torch.optim.SGD(model.parameters(), 0.1)

    tune(
        sized,
        subset(),
        epochs=1,
        loss=loss,
        searcher="grid",
        storage=tmp_path / "a.db",
        progress=False,
    )
    assert seen == {30, 1_000}


def test_other_targets_are_regressed(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = x.sum(axis=1)

    def line(hp):
        model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
        optimizer = torch.optim.SGD(model.parameters(), hp.float("rate", 0.05, 0.1))
        return model, optimizer, lr_scheduler.ReduceLROnPlateau(optimizer)

    result = tune(
        line, ((x, y), (x, y)), epochs=20, max_trials=1, storage=tmp_path / "a.db", progress=False
    )
    assert set(result.best.metrics[0]) == {"loss", "val_loss"}
    assert result.best_value < 1e-3
    with pytest.raises(StudyError, match=r"shape \(64,\), the targets \(64, 1\)"):
        tune(
            line,
            ((x, y[:, None]), (x, y[:, None])),
            epochs=1,
            max_trials=1,
            storage=tmp_path / "b.db",
            progress=False,
        )


def test_the_training_travels_to_other_processes():
    rate = 0.1

    def local(hp):
        model = net(hp.int("units", 1, 4))
        return model, torch.optim.SGD(model.parameters(), rate)

    copy = pickle.loads(cloudpickle.dumps(Training(local, *tensors(subset()))))
    assert torch.equal(copy.train[0], training().train[0])


def test_importing_luthier_imports_no_framework():
    code = (
        "import luthier, sys; luthier.tune; assert not {'torch', 'jax', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- State -------------------------------------------------------------------------------------


def test_state_holds_parts_and_every_random_generator(tmp_path):
    def parts():
        model = net(8)
        optimizer = torch.optim.SGD(model.parameters(), np.float64(0.1), momentum=0.9)
        return {
            "model": model,
            "optimizer": optimizer,
            "schedule": lr_scheduler.MultiStepLR(optimizer, [1, 3]),
            "average": torch.optim.swa_utils.AveragedModel(model),
            "scaler": torch.amp.GradScaler("cpu"),
            "generator": torch.Generator().manual_seed(random.randrange(100)),
        }

    def draw(generator):
        numbers = torch.rand(2), torch.rand(2, generator=generator)
        return random.random(), np.random.normal(), *(n.tolist() for n in numbers)

    first, second = parts(), parts()
    np.random.normal()  # leaves numpy's second normal number waiting
    State(**first).save(tmp_path)
    expected = draw(first["generator"])
    State(**second).restore(tmp_path)
    assert draw(second["generator"]) == expected
    assert second["optimizer"].param_groups[0]["lr"] == 0.1
    assert second["schedule"].milestones == first["schedule"].milestones
    for name in ("model", "average"):
        pairs = zip(
            first[name].state_dict().items(), second[name].state_dict().items(), strict=True
        )
        assert all(key == k and torch.equal(value, v) for (key, value), (k, v) in pairs)


def test_state_says_what_it_cannot_hold(tmp_path):
    class Odd:
        def state_dict(self):
            return {"mine": [self]}

        def load_state_dict(self, state):
            raise NotImplementedError

    with pytest.raises(StudyError, match="holds nothing"):
        State()
    with pytest.raises(StudyError, match=r"State\(epoch=...\) is a int"):
        State(epoch=3)
    with pytest.raises(StudyError, match=r"odd\['mine'\]\[0\] is a Odd"):
        State(odd=Odd()).save(tmp_path)


def test_state_says_what_does_not_fit(tmp_path):
    with pytest.raises(CheckpointError, match="missing"):
        State(model=net(8)).restore(tmp_path)
    State(model=net(8), other=net(8)).save(tmp_path)
    with pytest.raises(CheckpointError, match=r"holds the parts 'model', 'other'.*given 'model'"):
        State(model=net(8)).restore(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"'model' does not fit the Sequential(.|\n)*mismatch"
    ):
        State(model=net(9), other=net(8)).restore(tmp_path)


def test_reading_a_checkpoint_runs_no_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "sprung").touch, ())

    torch.save({"parts": {"model": Trap()}, "random": {}}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        State(model=net(8)).restore(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_the_framework_is_what_luthier_torch_imports():
    assert luthier.torch.State is State
    assert sys.modules["torch"] is torch


# -- single numbers, large sets, optimizers of other kinds ---------------------------------------


def binary(loss, *last):
    """Return a build function whose models end in one number an example, and data that it can learn."""
    x = np.random.default_rng(0).normal(size=(400, 4)).astype("float32")
    y = (x[:, 0] + x[:, 1] > 0).astype("int64")

    def made(hp):
        model = nn.Sequential(nn.Linear(4, 1), *last)
        return model, torch.optim.Adam(model.parameters(), hp.float("rate", 0.05, 0.1))

    return made, ((x[:300], y[:300]), (x[300:], y[300:])), loss


@pytest.mark.parametrize(
    "case",
    [
        binary(lambda o, t: nn.functional.binary_cross_entropy_with_logits(o[:, 0], t.float())),
        binary(lambda o, t: nn.functional.binary_cross_entropy(o[:, 0], t.float()), nn.Sigmoid()),
    ],
)
def test_the_accuracy_of_one_number_for_two_classes(case):
    made, data, loss = case
    result = tune(
        made, data, loss=loss, epochs=15, max_trials=1, scheduler=None, storage="memory", progress=False
    )  # fmt: skip
    model, (_, (x, y)) = result.model(), tensors(data)
    with torch.no_grad():
        outputs = model(x)[:, 0]
    cut = 0.5 if isinstance(model[-1], nn.Sigmoid) else 0.0
    expected = ((outputs > cut).long() == y).double().mean().item()
    assert result.best_value == pytest.approx(expected)
    assert result.best_value > 0.9


def test_one_number_and_class_numbers_in_a_column_are_told_of_in_words():
    made, data, _ = binary(None)
    options = {"epochs": 1, "max_trials": 1, "storage": "memory", "progress": False}
    with pytest.raises(StudyError, match=r"outputs have shape \(64, 1\).*binary_cross_entropy_wi"):
        tune(made, data, **options)
    column = tuple((x, y[:, None]) for x, y in data)

    def two(hp):
        model = nn.Linear(4, hp.int("classes", 2, 3))
        return model, torch.optim.Adam(model.parameters())

    with pytest.raises(StudyError, match=r"of shape \(64, 1\).*Give y.squeeze\(1\)"):
        tune(two, column, **options)


def test_validation_goes_on_in_smaller_batches_where_memory_runs_out():
    sizes = []

    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = net(8)

        def forward(self, x):
            if not self.training:
                sizes.append(len(x))
                if len(x) > 200:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return self.layers(x)

    def made(hp):
        model = Large()
        return model, torch.optim.SGD(model.parameters(), hp.float("rate", 0.01, 0.1))

    result = tune(
        made, subset(), epochs=2, max_trials=1, batch_size=200, storage="memory", progress=False
    )
    assert [t.state for t in result.trials] == [TrialState.COMPLETED]
    assert sizes == [512, *[200] * 10]
    result = tune(
        made, subset(), epochs=2, max_trials=1, batch_size=300, storage="memory", progress=False
    )
    assert [t.kind for t in result.trials] == [
        "out of memory"
    ]  # not even a training step's rows fit


def test_what_an_optimizer_made_at_once_moves_with_the_model():
    """Adagrad's sums are there before the model is on its device; there is no GPU here: its place is faked."""
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.Adagrad(layer.parameters(), 0.1)
    before = {id(p): state["sum"] for p, state in optimizer.state.items()}
    layer.weight.data = (
        layer.weight.data.double()
    )  # as .to(device) does: the same Parameter, other data
    training_module._place(layer, optimizer, torch.device("cpu"))
    state = optimizer.state[layer.weight]["sum"]
    assert state.dtype == torch.float64
    assert state is not before[id(layer.weight)]
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_optimizers_that_need_a_closure_are_refused():
    x, y = np.ones((64, 4), "float32"), np.zeros(64, "int64")

    def made(hp):
        model = nn.Linear(4, 2)
        return model, torch.optim.LBFGS(model.parameters(), hp.float("rate", 0.1, 1.0))

    with pytest.raises(StudyError, match="LBFGS evaluates the loss several times a step"):
        tune(made, ((x, y), (x, y)), epochs=1, max_trials=1, storage="memory", progress=False)
    model = nn.Linear(4, 2)
    with pytest.raises(StudyError, match="LBFGS evaluates the loss several times a step"):
        luthier.torch.find_learning_rate(model, torch.optim.LBFGS(model.parameters()), (x, y))
