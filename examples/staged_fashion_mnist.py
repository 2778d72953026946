"""Eight hyperparameters in stages, the learning rate first: Keras on TensorFlow, Fashion-MNIST."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras

import luthier
from luthier.craft.stages import Stages

SMOKE = bool(os.environ.get("LUTHIER_SMOKE"))  # a small budget, to try it out
TRIALS, EPOCHS = (
    int(os.environ.get(f"LUTHIER_{k}", n)) for k, n in (("TRIALS", 80), ("EPOCHS", 9))
)
data = luthier.datasets.fashion_mnist("subset" if SMOKE else "auto")


def build(hp):
    batch_size = hp.int("batch_size", 16, 512, scale="log")
    schedule = keras.optimizers.schedules.ExponentialDecay(
        hp.float("learning_rate", 1e-4, 1.0, scale="log"),
        decay_steps=max(1, len(data.train[0]) // batch_size),  # an epoch
        decay_rate=hp.float("decay", 0.5, 1.0),
    )
    layers = [keras.Input((28, 28)), keras.layers.Flatten()]
    units, dropout = hp.int("units", 16, 512, scale="log"), hp.float("dropout", 0.0, 0.5)
    for _ in range(hp.int("layers", 1, 3)):
        layers += [keras.layers.Dense(units, activation="relu"), keras.layers.Dropout(dropout)]
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
    model.compile(
        keras.optimizers.SGD(
            schedule,
            momentum=hp.float("momentum", 0.5, 0.99, scale="one_minus_log"),
            weight_decay=hp.float("weight_decay", 1e-7, 1e-2, scale="log"),
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


if __name__ == "__main__":
    result = luthier.keras.tune(
        build,
        data,
        maximize="val_accuracy",
        staged=Stages(joint=0.25) if SMOKE else True,
        epochs=2 if SMOKE else EPOCHS,
        scheduler=None if SMOKE else "median",
        max_trials=8 if SMOKE else TRIALS,
    )
    for stage in result.stages:
        print(f"{stage.name}: {stage.conclusion}")
    for rank, trial in enumerate(result.ranking[:5], 1):
        accuracy = result.study.history.value(trial.best_loss)
        print(f"{rank}. trial {trial.number:2}  val_accuracy {accuracy:.4f}  {trial.configuration}")
    print(result.test(lambda model: model.evaluate(*data.test, verbose=0, return_dict=True)))
    result.model().save("staged_fashion_mnist.keras")
