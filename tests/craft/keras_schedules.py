"""What holds for schedules in Keras on every backend; run by test_schedules.py, once for each."""

import tempfile
from pathlib import Path

import keras
import numpy as np
from schedule_table import TABLE

from luthier.craft.schedules import Cosine, Plateau, as_keras
from luthier.keras import State

for schedule, rates in TABLE:
    made = as_keras(schedule)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(made))
    assert again.schedule == schedule
    for step, rate in rates.items():
        for one in (made, again):
            found = float(keras.ops.convert_to_numpy(one(keras.ops.convert_to_tensor(step))))
            assert np.isclose(found, rate, rtol=3e-6, atol=1e-7), (schedule, step, found, rate)


def model_of(optimizer):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer, "mse")
    return model


# In a compiled training step: the gradient of a mean over -w·x is constant.
x = np.ones((6, 1), "float32")
schedule = Cosine(0.5, 6, warm_up=2)
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
model.compile(keras.optimizers.SGD(as_keras(schedule)), lambda true, out: -keras.ops.mean(out))
before = float(model.get_weights()[0][0, 0])
model.fit(x, x, batch_size=1, epochs=1, verbose=0)
moved = float(model.get_weights()[0][0, 0]) - before
assert np.isclose(moved, schedule(np.arange(6)).sum(), rtol=1e-5), moved

with tempfile.TemporaryDirectory() as folder:
    model.save(Path(folder) / "m.keras", include_optimizer=True)
    loaded = keras.saving.load_model(Path(folder) / "m.keras", compile=False)
    config = keras.optimizers.serialize(model.optimizer)
    assert keras.optimizers.deserialize(config).learning_rate is not None

# Reduce on plateau: saved in the middle of waiting, it goes on as if it had not been.
plateau = Plateau(1e-2, factor=(0.1, 0.01), patience=1, floor=1e-5)
metrics = [1.0, 0.8, 0.8, 0.9, 0.7, 0.7, 0.7, 0.7]
expected, state = [], plateau.start()
for metric in metrics:
    expected.append(state.rate)
    state = plateau.step(state, metric)


def listener():
    made = as_keras(plateau, monitor="val_loss")
    made.set_model(model_of(keras.optimizers.SGD(plateau.peak)))
    return made


made, seen = listener(), []
with tempfile.TemporaryDirectory() as folder:
    for epoch, metric in enumerate(metrics):
        if epoch in (3, 6):
            State(made.model, [made]).save(Path(folder))
            made = listener()
            State(made.model, [made]).restore(Path(folder))
        made.on_epoch_begin(epoch)
        seen.append(float(keras.ops.convert_to_numpy(made.model.optimizer.learning_rate)))
        made.on_epoch_end(epoch, {"val_loss": metric})
assert np.allclose(seen, expected, rtol=1e-6), (seen, expected)
print(keras.backend.backend())
