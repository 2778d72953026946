"""A Flax (nnx) model with optax, through luthier.jax: the state is what nnx.split returns."""

import jax
import optax
from flax import nnx

import luthier

data = luthier.datasets.fashion_mnist("subset")


class Net(nnx.Module):
    def __init__(self, units, rngs):
        self.hidden = nnx.Linear(784, units, rngs=rngs)
        self.out = nnx.Linear(units, 10, rngs=rngs)

    def __call__(self, x):
        return self.out(nnx.relu(self.hidden(x.reshape(len(x), -1))))


def build(hp, key):
    net = Net(hp.int("units", 16, 128, scale="log"), nnx.Rngs(key))
    graph, params = nnx.split(net)
    # The rate is a part of the state, so trials that differ in it share one program.
    adam = optax.inject_hyperparams(optax.adam)(hp.float("learning_rate", 1e-4, 1e-1, scale="log"))

    def loss_of(params, batch):
        logits = nnx.merge(graph, params)(batch[0])
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1]).mean(), logits

    def step(state, batch):
        params, moments = state
        (loss, _), gradient = jax.value_and_grad(loss_of, has_aux=True)(params, batch)
        updates, moments = adam.update(gradient, moments, params)
        return (optax.apply_updates(params, updates), moments), {"loss": loss}

    def evaluate(state, batch):
        loss, logits = loss_of(state[0], batch)
        return {"loss": loss, "accuracy": (logits.argmax(1) == batch[1]).mean()}

    return (params, adam.init(params)), step, evaluate


if __name__ == "__main__":
    result = luthier.jax.tune(build, data, epochs=3, scheduler="hyperband", max_epochs=8)
    print(f"best {result.best_value:.3f} {result.configuration}")
