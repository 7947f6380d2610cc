"""What an experiment file on photographs without labels may say, and what only such a file may."""

from __future__ import annotations

from typing import Any

from tasks.settings.base import Form

_PRETRAINED = "pretrained"
_USED = {
    "": {
        "name",
        "description",
        "seed",
        "deterministic",
        "data",
        "model",
        "backbones",
        "explanation",
        "runner",
        "cache",
    },
    "data": {"path", "labels", "on_corrupt", "preprocessing"},
    "data.labels": {"kind"},
    "model": {"size", "weights", "head"},
    "explanation": {
        "methods",
        "layer",
        "integrated_gradients",
        "smoothgrad",
        "scorecam",
        "occlusion",
        "rise",
        "top",
        "classes",
        "alpha",
        "colormap",
        "contact_sheet_images",
        "format",
    },
}
"""The settings that photographs without labels have a use for, by the part of the file that they stand in."""


def check_photographs(experiment: Any) -> None:
    """Check that `data.labels.kind: none` and `head: pretrained` stand together, and without what trains or scores.

    Raises
    ------
    ValueError
        They do not; the message says which setting is in the way.
    """
    heads = {name: experiment.model_of(name).head for name in experiment.backbones}
    own = [name for name, head in heads.items() if head is not None and head.kind == _PRETRAINED]
    if experiment.data.labels.kind != "none":
        if own:
            raise ValueError(
                f"model.head: pretrained ({', '.join(own)}) is a network's classifier of ImageNet's 1000 classes, "
                "which are not the data's: say data.labels.kind: none for photographs without labels, or another head"
            )
        _refuse_changed(
            experiment.explanation, {"top", "classes"}, "explanation", "photographs (data.labels.kind: none)"
        )
        return
    if others := [name for name in heads if name not in own]:
        raise ValueError(
            "data.labels.kind: none leaves nothing to train with, so model.head must be pretrained, and it is not for "
            f"{', '.join(others)}"
        )
    _refuse_unused(experiment)
    for name in own:
        _check_network(experiment, name)


def _refuse_unused(experiment: Any) -> None:
    for key, used in _USED.items():
        form = experiment
        for part in key.split(".") if key else ():
            form = getattr(form, part)
        _refuse_changed(form, set(type(form).model_fields) - used, key, "labels to train with and to be scored by")


def _refuse_changed(form: Form, fields: set[str], key: str, needed: str) -> None:
    """Refuse settings that have another value than their default."""
    changed = [
        name
        for name, field in type(form).model_fields.items()
        if name in fields and getattr(form, name) != field.get_default(call_default_factory=True)
    ]
    if changed:
        shown = ", ".join(f"{key}.{name}" if key else name for name in changed)
        raise ValueError(f"{shown}: there is a use for this with {needed} only; leave it out")


def _check_network(experiment: Any, name: str) -> None:
    entry, model = experiment.backbones[name], experiment.model_of(name)
    if entry.training or entry.freeze is not None:
        raise ValueError(f"backbones.{name}: nothing is trained without labels; leave `training` and `freeze` out")
    if model.weights == "none":
        raise ValueError(
            f"model.weights: none gives {name} a classifier of random weights; say imagenet, or the path of a weight "
            "file with its top"
        )
    if model.head.units:
        raise ValueError(f"model.head.units: the pretrained classifier of {name} has its own layers; leave it out")
