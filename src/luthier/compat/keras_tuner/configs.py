"""Hyperparameters as KerasTuner writes them down: a class's name and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.compat.keras_tuner.ranges import float_domain, int_domain
from luthier.errors import StorageError
from luthier.space import Bool, Choice, Constant, Domain, Float, Int

_SAMPLINGS = {"linear": "linear", "log": "log", "one_minus_log": "reverse_log"}


def domain_of(kind: str, config: Mapping[str, Any]) -> Domain:
    """Return the range that KerasTuner's class *kind* with *config* is; conditions are left out.

    Raises:
        StorageError: there is no such class.
    """
    name, default = config["name"], config.get("default")
    match kind:
        case "Choice":
            return Choice(*config["values"], default=default)
        case "Boolean":
            return Bool(bool(default))
        case "Fixed":
            return Constant(config["value"])
        case "Int" | "Float":
            make: Any = int_domain if kind == "Int" else float_domain
            step = config.get("step")
            step = None if kind == "Int" and step == 1 else step
            return make(
                name,
                config["min_value"],
                config["max_value"],
                step,
                config.get("sampling"),
                default,
            )
        case _:
            raise StorageError(f"Unknown kind of hyperparameter {kind!r}: of a newer KerasTuner?")


def config_of(name: str, domain: Domain) -> dict[str, Any]:
    """Return what ``domain_of`` reads."""
    config: dict[str, Any] = {"name": name, "conditions": []}
    match domain:
        case Float() | Int():
            kind = "Int" if isinstance(domain, Int) else "Float"
            config |= {
                "min_value": domain.low,
                "max_value": domain.high,
                "step": domain.step,
                "sampling": _SAMPLINGS[domain.scale],
                "default": domain.default,
            }
        case Choice():
            kind = "Choice"
            config |= {"values": list(domain.options), "default": domain.default, "ordered": False}
        case Bool():
            kind = "Boolean"
            config["default"] = domain.default
        case Constant():
            kind = "Fixed"
            config["value"] = domain.value
        case _:
            raise TypeError(type(domain))
    return {"class_name": kind, "config": config}
