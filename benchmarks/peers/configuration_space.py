"""A task's space as ConfigSpace's, for the peers that search one."""

from ConfigSpace import Categorical, ConfigurationSpace, Float, InCondition, Integer


def configuration_space(space, seed):
    made = ConfigurationSpace(seed=seed)
    for p in space:
        made.add(parameter(p))
    for p in space:
        if rule := p["condition"]:
            made.add(InCondition(made[p["name"]], made[rule["name"]], rule["values"]))
    return made


def parameter(p):
    if p["kind"] == "choice":
        return Categorical(p["name"], p["options"])
    make = Integer if p["kind"] == "int" else Float
    return make(p["name"], (p["low"], p["high"]), log=p["log"])
