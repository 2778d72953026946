"""Anything at all: run_trial returns a number, or several."""

import luthier.compat.keras_tuner as keras_tuner


class MyTuner(keras_tuner.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        hp = trial.hyperparameters
        x = hp.Float("x", min_value=-1.0, max_value=1.0)
        return x * x + 1


tuner = MyTuner(max_trials=20, overwrite=True, directory="my_dir", project_name="tune_anything")
tuner.search(verbose=0)
best = tuner.get_best_hyperparameters()[0]
print(best.get("x"))
assert abs(best.get("x")) < 0.5


class Several(keras_tuner.BayesianOptimization):
    def run_trial(self, trial, *args, **kwargs):
        x = trial.hyperparameters.Float("x", min_value=-1.0, max_value=1.0)
        return {"metric_a": -abs(x - 0.3), "metric_b": x}


tuner = Several(
    objective=keras_tuner.Objective("metric_a", "max"),
    max_trials=12,
    overwrite=True,
    directory="my_dir",
    project_name="dictionary",
)
tuner.search(verbose=0)
tuner.results_summary(2)
assert abs(tuner.get_best_hyperparameters()[0].get("x") - 0.3) < 0.2
