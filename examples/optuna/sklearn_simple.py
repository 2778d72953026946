"""Two kinds of classifiers, each with hyperparameters of its own."""

import sklearn.datasets
import sklearn.ensemble
import sklearn.model_selection
import sklearn.svm

import luthier.compat.optuna as optuna


class Objective:
    def __init__(self, iris):
        self.iris = iris

    def __call__(self, trial):
        x, y = self.iris.data, self.iris.target
        classifier_name = trial.suggest_categorical("classifier", ["SVC", "RandomForest"])
        if classifier_name == "SVC":
            svc_c = trial.suggest_float("svc_c", 1e-10, 1e10, log=True)
            classifier_obj = sklearn.svm.SVC(C=svc_c, gamma="auto")
        else:
            rf_max_depth = trial.suggest_int("rf_max_depth", 2, 32, log=True)
            classifier_obj = sklearn.ensemble.RandomForestClassifier(
                max_depth=rf_max_depth, n_estimators=10, random_state=0
            )
        score = sklearn.model_selection.cross_val_score(classifier_obj, x, y, n_jobs=1, cv=3)
        return score.mean()


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize")
    study.optimize(Objective(sklearn.datasets.load_iris()), n_trials=100)
    print(study.best_trial)
    assert study.best_params.keys() in ({"classifier", "svc_c"}, {"classifier", "rf_max_depth"})
