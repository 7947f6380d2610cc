"""Models that foldcam has not trained, made ready to be explained: files of anyone's, and ImageNet's networks."""

from __future__ import annotations

from pathlib import Path

from tasks.backbones.imagenet_classes import FILE, N_CLASSES, ImagenetClasses, imagenet_classes
from tasks.backbones.pretrained import build_pretrained
from tasks.backbones.weights import keras_home
from tasks.config import InputError, Kind
from tasks.dataset.pixels.shaping import Shaping
from tasks.dataset.targets import Targets
from tasks.explanation.explainable import Explainable
from tasks.explanation.foreign import ForeignModel, flattened
from tasks.explanation.foreign_files import load_foreign
from tasks.explanation.said import Said


def imagenet_network(backbone: str, weights: str) -> Explainable:
    """Give a backbone with its own classifier of ImageNet's classes, as its weights left it.

    Raises
    ------
    InputError
        The network has no such classifier, or weights or class names cannot be had.
    """
    index = imagenet_classes()
    built = build_pretrained(backbone, weights=weights)
    title = built.spec.title if weights == "imagenet" else f"{built.spec.title} ({Path(weights).name})"
    targets = Targets(_told_apart(index))
    return Explainable(title, built.model, targets, cam_layer=built.cam_layer, named=lambda text: _number(index, text))


def foreign_network(file: Path, said: Said, *, title: str) -> Explainable:
    """Give a model file of anyone's.

    Parameters
    ----------
    file : Path
        A `.keras` file, or an `.h5` or `.hdf5` file of a whole model.
    said : Said
        What the file does not say.
    title : str
        What people call it.

    Raises
    ------
    InputError
        The file is refused, the model cannot be explained, or what is said does not go with it, or is not enough.
    """
    model = load_foreign(file, trust=said.trust)
    flat = flattened(model, preprocessing=said.preprocessing, activation=said.activation, size=said.size)
    kind = _kind(flat, said)
    index = _index(flat, said)
    classes = said.classes or (
        tuple(f"class {number}" for number in range(flat.n_classes)) if index is None else _told_apart(index)
    )
    if len(classes) != flat.n_classes:
        raise InputError(
            f"--classes: {len(classes)} names are given, and the model `{flat.model.name}` tells {flat.n_classes} "
            "classes apart. Give a name for each, in the order of its outputs."
        )
    return Explainable(
        title,
        flat.model,
        Targets(classes, kind, separator=", "),
        _thresholds(said, kind, flat.n_classes),
        how=_shaping(flat, said),
        named=None if index is None else lambda text: _number(index, text),
        notes=_notes(flat, said, index),
    )


def _kind(flat: ForeignModel, said: Said) -> Kind:
    if not said.ordinal:
        return flat.kind
    if flat.kind != "multilabel":
        raise InputError(
            f"--ordinal: grades are read from several sigmoids, each of which says that a grade is reached, and the "
            f"model `{flat.model.name}` ends in {flat.n_outputs} with a {flat.activation}. Leave it out."
        )
    return "ordinal"


def _thresholds(said: Said, kind: Kind, n_classes: int) -> tuple[float, ...]:
    if not said.thresholds:
        return (0.5,)
    if kind != "multilabel":
        raise InputError("--thresholds: these are for models whose images may have several labels. Leave them out.")
    if len(said.thresholds) not in (1, n_classes):
        raise InputError(
            f"--thresholds: {len(said.thresholds)} are given for {n_classes} labels. Give one, or one each."
        )
    return said.thresholds


def _shaping(flat: ForeignModel, said: Said) -> Shaping:
    if flat.height != flat.width and said.resize not in (None, "stretch"):
        raise InputError(
            f"--resize: the model `{flat.model.name}` takes images of {flat.height} × {flat.width} pixels, and "
            "pictures can only be stretched to what is not square. Leave it out."
        )
    return Shaping(said.resize or "stretch")


def _index(flat: ForeignModel, said: Said) -> ImagenetClasses | None:
    """Give ImageNet's classes for a model with as many, if their index is on this machine."""
    there = (keras_home() / "models" / FILE).is_file()
    return imagenet_classes() if flat.n_classes == N_CLASSES and not said.classes and there else None


def _notes(flat: ForeignModel, said: Said, index: ImagenetClasses | None) -> tuple[str, ...]:
    if said.classes:
        return ()
    if index is not None:
        return ("The model tells 1000 classes apart, and they are called as ImageNet's are. Others: --classes.",)
    why = f", and ImageNet's index is not at {keras_home() / 'models' / FILE}" if flat.n_classes == N_CLASSES else ""
    return (
        f"The model file does not name its classes{why}: they are called class 0 to class {flat.n_classes - 1}. Name "
        "them with --classes.",
    )


def _told_apart(index: ImagenetClasses) -> tuple[str, ...]:
    """Give the names, with the synset behind those that two classes share."""
    return tuple(
        f"{name} ({synset})" if index.names.count(name) > 1 else name
        for name, synset in zip(index.names, index.synsets, strict=True)
    )


def _number(index: ImagenetClasses, text: str) -> int:
    named = _told_apart(index)
    if text in named:
        return named.index(text)
    try:
        return index.numbers([text])[0]
    except InputError as fault:
        raise InputError(str(fault).replace("explanation.classes: ", "--class: ", 1)) from None
