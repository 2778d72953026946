"""An Equinox model with optax, through luthier.jax: its arrays are the state, the rest is closed over."""

import equinox as eqx
import jax
import optax

import luthier

data = luthier.datasets.fashion_mnist("subset")


def build(hp, key):
    net = eqx.nn.MLP(784, 10, hp.int("units", 16, 128, scale="log"), depth=1, key=key)
    params, static = eqx.partition(net, eqx.is_array)
    # The rate is a part of the state, so trials that differ in it share one program.
    adam = optax.inject_hyperparams(optax.adam)(hp.float("learning_rate", 1e-4, 1e-1, scale="log"))

    def loss_of(params, batch):
        net = eqx.combine(params, static)
        logits = jax.vmap(net)(batch[0].reshape(len(batch[0]), -1))
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
