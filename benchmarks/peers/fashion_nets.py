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


def compiled(layers, rate):
    head = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((28, 28)), *layers, head])
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


NETS = {"mlp": mlp, "cnn": cnn}
