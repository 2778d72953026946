"""A study in a file, left and gone on with."""

import os
import tempfile

import luthier.compat.optuna as optuna


def objective(trial):
    x = trial.suggest_float("x", -10, 10)
    return (x - 2) ** 2


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        storage_name = "sqlite:///{}".format(os.path.join(folder, "example-study.db"))
        study = optuna.create_study(study_name="example-study", storage=storage_name)
        study.optimize(objective, n_trials=10)

        study = optuna.create_study(
            study_name="example-study", storage=storage_name, load_if_exists=True
        )
        study.optimize(objective, n_trials=10)

        study = optuna.load_study(study_name=None, storage=storage_name)
        print("Best params: ", study.best_params)
        print("Best value: ", study.best_value)
        print("Trials: ", len(study.trials))
        assert optuna.get_all_study_names(storage_name) == ["example-study"]
        assert len({t.number for t in study.trials}) == len(study.trials)
