"""A model's folder as MLflow writes it, made ready to be explained: foldcam's own, or a Keras model of anyone's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tasks.config import InputError
from tasks.explanation.explainable import Explainable, logged_network
from tasks.explanation.explainable_others import foreign_network
from tasks.explanation.said import Said
from tasks.training.session import derived_seed

NETWORK, ABOUT = "network.keras", "about.json"


def recorded_network(folder: Path, said: Said, title: str, backbone: str | None, seed: int | None) -> Explainable:
    """Give the model in one of MLflow's folders.

    Parameters
    ----------
    folder : Path
        Holds `MLmodel`.
    said : Said
        What is said of a model that foldcam has not made.
    title : str
        What people call it.
    backbone : str or None
        The registry name of its backbone, where a fold run made it.
    seed : int or None
        The seed of its experiment: methods that draw at random draw what they drew in its fold run.

    Raises
    ------
    InputError
        The folder is damaged, holds no Keras model, or something is said of a model that brings it along.
    """
    flavors = _flavors(folder)
    own = flavors.get("python_function", {}).get("artifacts", {})
    if {"network", "about"} <= own.keys():
        said.check_unsaid("the model was made by foldcam and brings this along.")
        network, about = (folder / own[name]["path"] for name in ("network", "about"))
        draws = 0 if seed is None or backbone is None else derived_seed(seed, backbone, "explain")
        return logged_network(network, about, title=title, backbone=backbone, seed=draws, trust=said.trust)
    if "networks" in own:
        raise InputError(
            f"--model: {title} is the mean of several networks, and a map is of one. Name a fold run of it, such as "
            "EXPERIMENT/BACKBONE/0; or let `foldcam predict --explain` draw the mean of their maps."
        )
    keras_files = sorted((folder / "data").glob("*.keras")) + sorted((folder / "data").glob("*.h5"))
    if not keras_files:
        raise InputError(
            f"--model: {folder} holds no Keras model ({', '.join(flavors) or 'nothing that MLflow knows'}). A model "
            "that can be explained is foldcam's own, or was logged with `mlflow.keras.log_model`."
        )
    return foreign_network(keras_files[0], said, title=title)


def file_network(file: Path, said: Said) -> Explainable:
    """Give the model in a file: one that foldcam has logged, with `about.json` beside it, or anyone's.

    Raises
    ------
    InputError
        As `recorded_network`, and where the file is no model.
    """
    about = file.with_name(ABOUT)
    if file.name == NETWORK and about.is_file():
        said.check_unsaid(f"{about} says this already.")
        return logged_network(file, about, title=file.name, trust=said.trust)
    return foreign_network(file, said, title=file.name)


def _flavors(folder: Path) -> dict[str, Any]:
    file = folder / "MLmodel"
    try:
        flavors = yaml.safe_load(file.read_text(encoding="utf-8"))["flavors"]
        return {str(name): dict(flavor) for name, flavor in flavors.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as fault:
        raise InputError(f"--model: {file} is damaged or not MLflow's. Name another model, or log it again.") from fault
