"""The far end of ``benchmarks/keras_tuner_promotion.py``: KerasTuner's own Hyperband, one trial up its rungs.

Runs in KerasTuner's environment. The first line is {"data": path of an .npz}; it is answered with
{"versions": [...]}. Then {"seed": ..., "configuration": {...}, "rungs": [...], "cosine": steps or 0} ->
{"curve": validation accuracy after each epoch, "skipped": the warnings that Keras gave about state}.
Rungs [1, 3, 9] are three trials, each promoted from the one before by KerasTuner; [9] is one.
"""

import json
import os
import sys
import tempfile
import warnings

import keras
import numpy as np


def main() -> None:
    import keras_tuner

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the peer prints must not end up between the answers
    data = None
    for line in sys.stdin:
        request = json.loads(line)
        if data is None:
            data = np.load(request["data"])
            versions = [f"{m.__name__} {m.__version__}" for m in (keras_tuner, keras)]
            answer = {"versions": [*versions, f"Keras on {keras.backend.backend()}"]}
        else:
            answer = climbed(data, **request)
        answers.write(json.dumps(answer) + "\n")


def climbed(data, seed, configuration, rungs, cosine):
    """Return the curve of one configuration that climbs *rungs*."""
    import keras_tuner

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tuner = keras_tuner.Hyperband(
            lambda hp: built(configuration, cosine),
            objective="val_accuracy",
            max_epochs=rungs[-1],
            directory=folder,
            project_name="promotion",
            seed=seed,
        )
        curve, before = [], None
        for at, end in enumerate(rungs):
            trial = registered(tuner, at, end, rungs[at - 1] if at else 0, before)
            keras.utils.set_random_seed(seed + 1000 * at)
            (history,) = tuner.run_trial(
                trial,
                data["x"],
                data["y"],
                validation_data=(data["x_val"], data["y_val"]),
                batch_size=int(data["batch"]),
                validation_batch_size=1000,
                verbose=0,
            )
            curve += history.history["val_accuracy"]
            before = trial.trial_id
        said = [str(w.message) for w in caught if "optimizer" in str(w.message)]
    return {"curve": curve, "skipped": said}


def registered(tuner, at, end, start, before):
    """Return the trial that KerasTuner's oracle makes of a promotion, known to the oracle."""
    import keras_tuner

    hyperparameters = keras_tuner.HyperParameters()
    values = {"tuner/epochs": end, "tuner/initial_epoch": start, "tuner/round": at}
    hyperparameters.values = values | ({} if before is None else {"tuner/trial_id": before})
    trial = keras_tuner.engine.trial.Trial(hyperparameters, trial_id=f"{at:04d}", status="RUNNING")
    tuner.oracle.trials[trial.trial_id] = trial
    return trial


def built(configuration, cosine):
    """Return the net, for both ends."""
    rate = configuration["learning_rate"]
    if cosine:
        rate = keras.optimizers.schedules.CosineDecay(rate, cosine)
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(configuration["units"], activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


if __name__ == "__main__":
    main()
