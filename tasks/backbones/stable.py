"""Layer names and initial weights that do not depend on what was built before in the process."""

from __future__ import annotations

import re
from collections import defaultdict
from hashlib import sha256
from typing import Any

import keras


def derived_seed(seed: int, *parts: str) -> int:
    """Give a seed from 0 to 2³¹ - 1 for a part of a network, derived from the seed of the whole and its names."""
    digest = sha256("/".join([str(seed), *parts]).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def stable_names(model: Any) -> dict[str, str]:
    """Give the name that each layer has in a fresh process, by its name in this one.

    Keras numbers layers without a name of their own through the whole life of a process (`conv2d_94`); here they
    are numbered anew, in the order in which they were made. Names that the architecture gives stay.
    """
    automatic = defaultdict(list)
    names = {}
    for operation in model.operations:
        stem, number = _parted(operation.name)
        if stem.replace("_", "") == type(operation).__name__.lower():
            automatic[stem].append((number, operation.name))
        else:
            names[operation.name] = operation.name
    for stem, numbered in automatic.items():
        for place, (_, name) in enumerate(sorted(numbered)):
            names[name] = f"{stem}_{place}" if place else stem
    return names


def _parted(name: str) -> tuple[str, int]:
    """Give a name's stem and its number at the end (0 without one)."""
    found = re.fullmatch(r"(.+?)_(\d+)", name)
    return (found[1], int(found[2])) if found else (name, 0)


def stabilised(model: Any, seed: int) -> Any:
    """Give a functional model stable names, and weights that follow from `seed` and these names only.

    Parameters
    ----------
    model : keras.Model
        A flat functional model, newly built; it must not be used any more.
    seed : int
        Gives every initializer and dropout a seed of its own.

    Returns
    -------
    keras.Model
        The same graph: the same layers with new weights where their names are stable already, else new layers.
    """
    names = stable_names(model)
    if all(name == stable for name, stable in names.items()) and _reset(model, seed):
        return model

    def renewed(operation: Any) -> Any:
        config = operation.get_config()
        config["name"] = names[operation.name]
        _seed_config(config, seed)
        return type(operation).from_config(config)

    return keras.models.clone_model(model, clone_function=renewed)


def _reset(model: Any, seed: int) -> bool:
    """Draw the weights anew in place, and tell whether that is possible: every random start must be a variable's."""
    drawn = []
    for operation in model.operations:
        config = operation.get_config()
        if "seed" in config:
            return False
        for key in _seeded(config):
            variable = getattr(operation, key.removesuffix("_initializer"), None)
            if not isinstance(variable, keras.Variable):
                return False
            drawn.append((operation, config, key, variable))
    for operation, config, key, variable in drawn:
        _seed_config(config, seed)
        initializer = keras.initializers.deserialize(config[key])
        setattr(operation, key, initializer)
        variable.assign(initializer(variable.shape, dtype=variable.dtype))
    return True


def _seeded(config: dict[str, Any]) -> list[str]:
    """Give the keys of a layer's configuration under which stand initializers that draw at random."""
    initializers = {key: value for key, value in config.items() if key.endswith("_initializer")}
    return [key for key, value in initializers.items() if isinstance(value, dict) and "seed" in value["config"]]


def _seed_config(config: dict[str, Any], seed: int) -> None:
    """Put derived seeds into a layer's configuration, in place: its own and those of its initializers."""
    name = config["name"]
    if "seed" in config:
        config["seed"] = derived_seed(seed, name, "seed")
    for key in _seeded(config):
        config[key]["config"]["seed"] = derived_seed(seed, name, key)
