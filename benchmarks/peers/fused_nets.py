"""The nets of ``fused.py``, the same Keras code for Luthier and for KerasTuner.

*number*(name, low, high) is a float on a log scale, *share*(name, low, high) one on a linear scale,
*whole*(name, low, high, step) an integer.
"""

import keras


def mlp(number, share, whole):
    """Return a net of one hidden layer, over learning rate and units."""
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(whole("units", 32, 512, 32), activation="relu"),
    ]
    return compiled(layers, keras.optimizers.Adam(number("learning_rate", 1e-4, 1e-1)))


def cnn(number, share, whole):
    """Return two small convolutions, over learning rate, 1 - momentum, decay of weights and dropout."""
    decay = keras.regularizers.L2(number("decay", 1e-7, 1e-3))
    layers = [
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu", kernel_regularizer=decay),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu", kernel_regularizer=decay),
        keras.layers.Flatten(),
        keras.layers.Dropout(share("dropout", 0.05, 0.5)),
    ]
    return compiled(layers, adam(number))


def pooled(number, share, whole):
    """Return two convolutions, each with max pooling, over learning rate, 1 - momentum and dropout."""
    layers = [
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(share("dropout", 0.05, 0.5)),
    ]
    return compiled(layers, adam(number))


def adam(number):
    momentum = 1 - number("one_minus_beta", 0.01, 0.5)
    return keras.optimizers.Adam(number("learning_rate", 1e-4, 3e-2), momentum)


def compiled(layers, optimizer):
    head = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((28, 28)), *layers, head])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


NETS = {"mlp": mlp, "cnn": cnn, "pooled": pooled}
