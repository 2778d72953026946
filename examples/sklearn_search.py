"""A pipeline of scikit-learn, searched with cross-validation, and a net trained epoch by epoch."""

from scipy.stats import randint
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

import luthier
from luthier.sklearn import LuthierSearchCV

x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.5, random_state=0)

# Bad candidates do not have all five folds.
search = LuthierSearchCV(
    make_pipeline(MinMaxScaler(), SVC()),
    {
        "svc__C": luthier.Float(1e-2, 1e3, scale="log"),
        "svc__gamma": luthier.Float(1e-3, 10, scale="log"),
        "svc__kernel": ["rbf", "poly"],
        "svc__degree": randint(2, 5),
    },
    n_iter=15,
    random_state=0,
).fit(x, y)
folds = search.cv_results_["n_folds"]
print(
    f"best {search.best_score_:.3f} {search.best_params_}, {folds.sum()} fits of {5 * len(folds)}"
)
print(f"test {search.score(x_test, y_test):.3f}")

# Estimators with partial_fit train by epochs; bad ones are abandoned after few.
net = LuthierSearchCV(
    make_pipeline(MinMaxScaler(), MLPClassifier()),
    {
        "mlpclassifier__learning_rate_init": luthier.Float(1e-4, 1e-1, scale="log"),
        "mlpclassifier__hidden_layer_sizes": [(32,), (64,), (32, 32)],
    },
    n_iter=9,
    cv=3,
    epochs=9,
    random_state=0,
).fit(x, y)
print(f"best {net.best_score_:.3f} {net.best_params_}")
print(f"test {net.score(x_test, y_test):.3f}")
