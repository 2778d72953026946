"""Random search over learning rate and number of units: Keras on TensorFlow, Fashion-MNIST."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras

import luthier

SMOKE = bool(os.environ.get("LUTHIER_SMOKE"))  # a small budget, to try it out


def build(hp):
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(hp.int("units", 32, 512, step=32), activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(hp.float("learning_rate", 1e-4, 1e-1, scale="log")),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


if __name__ == "__main__":
    data = luthier.datasets.fashion_mnist("subset" if SMOKE else "auto")
    result = luthier.keras.tune(
        build,
        data,
        epochs=2 if SMOKE else 10,
        max_trials=3 if SMOKE else 12,
        searcher="random",
    )
    for rank, trial in enumerate(result.ranking[:5], 1):
        accuracy = result.study.history.value(trial.best_loss)
        print(f"{rank}. trial {trial.number:2}  val_accuracy {accuracy:.4f}  {trial.configuration}")
    result.model().save("keras_random_search.keras")
