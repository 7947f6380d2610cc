"""How many images are measured: as many as a bound on the fold run's work allows, whatever the machine's speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.dataset.folds.assignment import FoldRows
from tasks.explanation.effort import multiply_adds, passes_of
from tasks.explanation.faithfulness import Plan
from tasks.explanation.map_files import StoredMaps
from tasks.workers.order import Material
from tasks.workers.workshop import Bench

LEAST_IMAGES = 4
"""How many images are measured even where the bound allows fewer."""

STAGES = 5
"""Stages in which the weights are randomised."""

_CHEAP = 4
_LEAST_CHECKED = 2
_CHANGES = 2


@dataclass(frozen=True)
class Prices:
    """What measuring the methods costs, in passes through the network.

    Attributes
    ----------
    plan : Plan
        How faithfulness is measured.
    maps : dict of str to int
        By method, the passes that a map takes.
    grids : dict of str to (int, int)
        By method, the resolution of its maps; methods with the same one share the controls' curves. One that is not in
        it shares nothing.
    """

    plan: Plan
    maps: Mapping[str, int]
    grids: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def every_stage(self, method: str) -> bool:
        """Tell whether a method's maps are cheap enough to be made at every stage of randomisation, for all images."""
        return self.maps[method] <= _CHEAP

    def checked(self, method: str, n_images: int) -> int:
        """Give on how many of the images sanity and stability are measured."""
        if self.every_stage(method):
            return n_images
        return min(n_images, max(_LEAST_CHECKED, n_images * _CHEAP // self.maps[method]))

    def of(self, n_images: int) -> int:
        """Give the passes that it takes to measure all methods on so many images."""
        alone = len(self.maps) - len(self.grids) + len(set(self.grids.values()))
        faithful = alone * self.plan.passes_an_image + (len(self.maps) - alone) * self.plan.own_passes
        steady = sum(
            self.checked(method, n_images) * (_CHANGES + (STAGES if self.every_stage(method) else 1)) * price
            for method, price in self.maps.items()
        )
        return n_images * faithful + steady

    def most_images(self, wanted: int, passes: float) -> int:
        """Give the most images, at most so many as wanted, that a number of passes is enough for."""
        return next((n for n in range(wanted, 0, -1) if self.of(n) <= passes), 0)


def sample_size(material: Material, bench: Bench, rows: FoldRows, n_explained: int, prices: Prices) -> int:
    """Give on how many of a fold's explained images its maps are measured.

    The bound is `explanation.faithfulness_share` of all the fold run's work, the measures included, in multiply-adds: a
    training step takes a pass through what is trained on and two backward ones through what is trained, all epochs
    asked for; each image takes a pass to be kept or predicted, and its maps theirs.

    Parameters
    ----------
    material : Material
        Settings and images.
    bench : Bench
        The network.
    rows : FoldRows
        The fold's images.
    n_explained : int
        How many of its test images are explained.
    prices : Prices
        What measuring costs.
    """
    settings = material.experiment.explanation
    wanted = min(settings.faithfulness_images, n_explained)
    share = settings.faithfulness_share
    if share is None or share == 1:
        return wanted
    passes = _work(material, bench, rows) + n_explained * sum(prices.maps.values())
    return max(prices.most_images(wanted, passes * share / (1 - share)), min(LEAST_IMAGES, wanted))


def prices_of(bench: Bench, plan: Plan, maps: Mapping[str, StoredMaps]) -> Prices:
    """Give what measuring methods costs, whose maps of the explained images these are.

    Raises
    ------
    InputError
        A method does not go with the network, or a setting of its own does not.
    """
    passes = {name: passes_of(bench.explainers(name), bench.built.model) for name in maps}
    return Prices(plan, passes, {name: (own.maps.shape[1], own.maps.shape[2]) for name, own in maps.items()})


def _work(material: Material, bench: Bench, rows: FoldRows) -> float:
    """Give the work of a fold run but for its maps and measures, in passes through the whole network."""
    inputs, model = bench.inputs, bench.built.model
    epochs = material.experiment.training_of(bench.built.spec.name).epochs
    whole, forward = multiply_adds(model), multiply_adds(model, inputs.trained.layers)
    trained = multiply_adds(model, [layer for layer in inputs.trained.layers if layer.trainable_weights])
    fitting = epochs * (len(rows.train) * (forward + 2 * trained) + len(rows.validation) * forward)
    if inputs.start is None:
        return fitting / whole + len(rows.test) + len(rows.holdout)
    return fitting / whole + len(inputs.rows) * (1 + (inputs.variants.number if inputs.variants else 0))
