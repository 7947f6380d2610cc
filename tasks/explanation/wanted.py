"""Which classes of which images are explained, and the methods that do it, for a model that is ready."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.evaluation.outputs import decide, explained_class
from tasks.explanation.asked import Asked
from tasks.explanation.building import build_method
from tasks.explanation.explainable import Explainable
from tasks.explanation.integrated import Integrated
from tasks.explanation.methods import INTEGRATED_GRADIENTS, get
from tasks.explanation.targets import (
    Difference,
    How,
    Likeliest,
    Named,
    Targets,
    choose_targets,
    class_number,
)

BATCH = 16
"""Maps that a method makes at once."""


@dataclass(frozen=True)
class Target:
    """What one image is explained for.

    Attributes
    ----------
    image : int
        Its place among the images given.
    column : int
        The class's number, or beyond the classes that of a difference.
    label : str
        What people read.
    rank : int
        1 for the image's likeliest class; of a difference, that of its first class.
    probability : float
        Of the class; of the first of the two for a difference.
    slot : str
        What the target has in common with those of other images: `number 2`, a class's name, or nothing.
    """

    image: int
    column: int
    label: str
    rank: int
    probability: float
    slot: str


@dataclass(frozen=True)
class Decided:
    """What the model says of an image: the text of its decision, and the probability of what it decides for."""

    text: str
    probability: float


@dataclass(frozen=True, eq=False)
class Found:
    """One map.

    Attributes
    ----------
    target : Target
        What it is for.
    method, layer : str
        The method's name; the layer that was mapped, empty where it needs none.
    raw : ndarray of shape (h, w), float32
        Over all that the model sees, raw sign kept.
    integrated : Integrated or None
        What integrated gradients gave for this map alone.
    """

    target: Target
    method: str
    layer: str
    raw: np.ndarray
    integrated: Integrated | None = None


class Methods:
    """The methods that are asked for, built for one model.

    Parameters
    ----------
    subject : Explainable
        The model.
    asked : Asked
        What is explained, and how.

    Attributes
    ----------
    subject, asked
        As given.
    differences : tuple of Difference
        The pair of classes that is asked for, if one is.

    Raises
    ------
    InputError
        A class or a layer is unknown, or a method does not go with the model or its settings.
    """

    def __init__(self, subject: Explainable, asked: Asked) -> None:
        self.subject, self.asked = subject, asked
        names = subject.targets.classes
        classes = [names[self._number(name)] for name in asked.classes]
        self.differences: tuple[Difference, ...] = ()
        self._hows: list[How] = []
        if asked.against is not None:
            self.differences = (Difference(classes[0], names[self._number(asked.against)]),)
            self._hows.append(self.differences[0])
        else:
            self._hows += [Likeliest(asked.top)] if asked.top is not None else []
            self._hows += [Named(tuple(classes))] if classes else []
        layers = list(asked.layers) or subject.cam_layer
        settings = asked.settings.model_copy(update={"layer": None}) if asked.layers else asked.settings
        scores = subject.scores(self.differences)
        self._built: dict[str, Any] = {
            name: build_method(name, subject.model, layers, settings, class_scores=scores, seed=subject.seed)
            for name in settings.methods
        }

    @property
    def names(self) -> list[str]:
        """The methods' names."""
        return list(self._built)

    def layers(self, method: str) -> tuple[str, ...]:
        """Give the layers that a method maps; one without a name where it needs none."""
        return tuple(self._built[method].layers) if get(method).needs_layer else ("",)

    def decided(self, probabilities: np.ndarray) -> list[Decided]:
        """Give what is decided for each image, from probabilities of shape (n, n_classes or more)."""
        targets, threshold = self.subject.targets, self.subject.threshold
        own = probabilities[:, : len(targets.classes)]
        texts = targets.texts(decide(own, targets.kind, threshold))
        best = explained_class(own, targets.kind, threshold)
        return [Decided(text, float(row[place])) for text, row, place in zip(texts, own, best, strict=True)]

    def targets(self, probabilities: np.ndarray) -> list[Target]:
        """Give what each image is explained for, by image; each class once.

        The likeliest ones come first, then those that are named. Where nothing is asked for it is what is decided: of
        several labels each that reaches its threshold, and where none does the nearest to it.
        """
        own = probabilities[:, : len(self.subject.targets.classes)]
        ranks = np.argsort(np.argsort(-own, axis=1, kind="stable"), axis=1, kind="stable") + 1
        found: dict[tuple[int, int], Target] = {}
        for how in self._hows or self._unasked():
            chosen = self._chosen(own, how)
            for image, column, label, chance in zip(
                chosen.images.tolist(),
                chosen.columns.tolist(),
                chosen.names,
                chosen.probabilities.tolist(),
                strict=True,
            ):
                if how == "predicted" and any(known == image for known, _ in found):
                    continue
                place = column if column < own.shape[1] else class_number(self.differences[0].of, self._classes)
                rank = int(ranks[image, place])
                slot = f"number {rank}" if isinstance(how, Likeliest) else "" if self._is_decision(how) else label
                found.setdefault((image, column), Target(image, column, label, rank, chance, slot))
        return sorted(found.values(), key=lambda target: target.image)

    def maps(self, method: str, squares: np.ndarray, targets: list[Target]) -> Iterator[Found]:
        """Yield a method's maps of images, each with a target; of several layers one after the other."""
        for start in range(0, len(targets), BATCH):
            some = targets[start : start + BATCH]
            inputs = squares[[target.image for target in some]].astype(np.float32)
            yield from self._maps(method, inputs, some)

    def _maps(self, method: str, inputs: np.ndarray, targets: list[Target]) -> Iterator[Found]:
        columns, built = np.array([target.column for target in targets]), self._built[method]
        if method == INTEGRATED_GRADIENTS:
            found = built.attributions(inputs, columns)
            for place, target in enumerate(targets):
                own = Integrated(*(values[place : place + 1] for values in vars(found).values()))
                yield Found(target, method, "", found.maps[place], own)
        elif get(method).needs_layer:
            _, by_layer = built.every_layer(inputs, columns)
            for layer, maps in by_layer.items():
                yield from (Found(target, method, layer, raw) for target, raw in zip(targets, maps, strict=True))
        else:
            _, maps = built(inputs, columns)
            yield from (Found(target, method, "", raw) for target, raw in zip(targets, maps, strict=True))

    def _unasked(self) -> list[How]:
        return ["positive", "predicted"] if self.subject.targets.kind == "multilabel" else ["predicted"]

    def _is_decision(self, how: How) -> bool:
        return how == "predicted" and self.subject.targets.kind != "multilabel"

    def _chosen(self, probabilities: np.ndarray, how: How) -> Targets:
        return choose_targets(
            probabilities,
            how,
            self.subject.targets.kind,
            self._classes,
            thresholds=self.subject.threshold,
            differences=self.differences,
        )

    @property
    def _classes(self) -> tuple[str, ...]:
        return self.subject.targets.classes

    def _number(self, name: str) -> int:
        if self.subject.named is not None:
            return self.subject.named(name)
        return class_number(name, self._classes)
