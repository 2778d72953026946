"""The nets of ``fashion_hyperband.py``, the same code for Luthier and for KerasTuner.

*number*(name, low, high) is a float on a log scale, *whole*(name, low, high, step) an integer.
"""

import keras


def mlp(number, whole):
    """Return a net of one hidden layer over learning rate and units."""
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(whole("units", 32, 512, 32), activation="relu"),
    ]
    return compiled(layers, number("learning_rate", 1e-4, 1e-1))


def cnn(number, whole):
    """Return two small convolutions and a hidden layer over learning rate, filters and units."""
    filters = whole("filters", 4, 16, 4)
    layers = [
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.Conv2D(filters, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(2 * filters, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(whole("units", 32, 256, 32), activation="relu"),
    ]
    return compiled(layers, number("learning_rate", 1e-4, 1e-1))


def wide_mlp(number, whole):
    """Return a net over learning rate, momentum, hidden layers, units and weight decay."""
    units = whole("units", 32, 512, 32)
    layers = [keras.layers.Flatten(), *hidden(whole("layers", 1, 3, 1), units)]
    return compiled(layers, *training(number))


def wide_cnn(number, whole):
    """Return small convolutions over learning rate, momentum, filters, layers, units and weight decay."""
    filters, units = whole("filters", 4, 16, 4), whole("units", 32, 256, 32)
    layers = [
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.Conv2D(filters, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(2 * filters, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        *hidden(whole("layers", 1, 3, 1), units),
    ]
    return compiled(layers, *training(number))


def hidden(count, units):
    return [keras.layers.Dense(units, activation="relu") for _ in range(count)]


def training(number):
    """Return learning rate, 1 - the momentum, and weight decay, over ranges for any net."""
    return (
        number("learning_rate", 1e-5, 1.0),
        number("one_minus_beta_1", 0.01, 0.5),
        number("weight_decay", 1e-6, 1.0),
    )


def compiled(layers, rate, one_minus_beta_1=0.1, weight_decay=None):
    head = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((28, 28)), *layers, head])
    optimizer = keras.optimizers.Adam(
        rate, beta_1=1.0 - one_minus_beta_1, weight_decay=weight_decay
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


NETS = {"mlp": mlp, "cnn": cnn, "mlp-wide": wide_mlp, "cnn-wide": wide_cnn}
