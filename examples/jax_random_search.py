"""Random search with JAX: learning rate and number of units of a net for Fashion-MNIST."""

import os

import jax
import jax.numpy as jnp
from jax.example_libraries import optimizers, stax

import luthier

SMOKE = os.environ.get("LUTHIER_SMOKE") == "1"


def build(hp, key):
    units = hp.int("units", 32, 512, step=32)
    start, net = stax.serial(stax.Flatten, stax.Dense(units), stax.Relu, stax.Dense(10))
    adam = optimizers.adam(hp.float("learning_rate", 1e-4, 1e-1, scale="log"))

    def measure(params, batch):
        images, labels = batch
        logits = net(params, images)
        loss = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])
        return loss, {"loss": loss, "accuracy": jnp.mean(logits.argmax(1) == labels)}

    def step(state, batch):
        count, params, moments = state
        gradient, metrics = jax.grad(measure, has_aux=True)(params, batch)
        moments = adam.update_fn(count, gradient, moments)
        return (count + 1, adam.params_fn(moments), moments), metrics

    def evaluate(state, batch):
        return measure(state[1], batch)[1]

    _, params = start(key, (-1, 28, 28))
    return (0, params, adam.init_fn(params)), step, evaluate


if __name__ == "__main__":
    result = luthier.jax.tune(
        build,
        luthier.datasets.fashion_mnist("subset" if SMOKE else "auto"),
        maximize="val_accuracy",
        searcher="random",
        epochs=2 if SMOKE else 10,
        max_trials=4 if SMOKE else 20,
    )
    for rank, trial in enumerate(result.ranking[:5], 1):
        accuracy = result.study.history.value(trial.best_loss)
        print(f"{rank}. trial {trial.number:2}  val_accuracy {accuracy:.4f}  {trial.configuration}")
    _, params, _ = result.model()
    jnp.savez("jax_random_search.npz", *jax.tree.leaves(params))
