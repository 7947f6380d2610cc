"""Row: what it costs that a fit can go on after a kill."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tasks.training.session import derived_seed
from tasks.training.states import SHARE, FitState, States
from tasks.workers import fold_run
from tasks.workers.order import Order, read_material
from tests.benchmarks.bench import Bench
from tests.benchmarks.material import order_of, settings, write_images
from tests.benchmarks.registry import Disagree, Outcome, Part, row


@row(
    ours="fits whose state (weights, optimizer, random states, history) is written to disk and flushed: the share of "
    "the fit's time that goes into it, N-CNN trained whole and VGG16 from frozen features",
    theirs="",
    clock="wall",
)
def fit_states(bench: Bench) -> Outcome:
    images = write_images(bench.folder() / "images", bench.sized(200, 48), 96)
    epochs = bench.sized(20, 3)
    own = {"ncnn": {"size": 62, "freeze": "none"}, "vgg16": {"size": bench.sized(96, 32)}}
    values = settings(images, backbones=own, training={"epochs": epochs, "early_stopping_patience": None})
    parts, more = [], {}
    for backbone in own:
        order = order_of(values, bench.folder(), backbone)
        found = [bench.single("tests.benchmarks.keeping:fit", order=order).result for _ in range(bench.repeats)]
        if any(one["kept"] != one["plain"] for one in found):
            raise Disagree(f"{backbone}: the losses with and without a kept state differ")
        if not all(one["states"] for one in found):
            raise Disagree(f"{backbone}: a fit wrote no state, so nothing was measured")
        shares = [100 * one["writing"] / one["seconds"] for one in found]
        parts.append(Part(backbone, "at most", 100 * SHARE, "% of the fit", shares))
        more[backbone] = {name: [one[name] for one in found] for name in ("seconds", "writing", "states", "megabytes")}
    return Outcome(parts, "losses of every epoch equal to the last bit with and without", more)


class _Timed(States):
    """Notes what its writing takes."""

    seconds, times = 0.0, 0

    def write(self, state: FitState) -> None:
        started = time.perf_counter()
        super().write(state)
        self.seconds, self.times = self.seconds + time.perf_counter() - started, self.times + 1


def fit(order: Order) -> dict[str, Any]:
    """Fit twice, the second time with the state kept; gives both histories and what keeping took."""
    fold_run.warm_up(1, order.experiment["deterministic"])
    material = read_material(order)
    rows, manifest = material.rows(order.fold), material.manifest
    Path(order.state_file).unlink(missing_ok=True)  # an earlier repeat's: a fit that is done is not done again
    states = _Timed(Path(order.state_file), {}, material.experiment.cache.max_gb)
    found: dict[str, Any] = {}
    for name, own in (("plain", None), ("kept", states)):
        bench = fold_run.workshop.bench(material, order.backbone, order.fold, lambda _: None)
        seed = derived_seed(material.experiment.seed, order.backbone, order.fold, "fit")
        started = time.perf_counter()
        history = bench.fitter.fit(
            bench.inputs.rows, manifest.y, rows.train, rows.validation, manifest.classes, seed=seed, states=own
        )
        found |= {name: history["val/loss"].to_numpy().tobytes(), "seconds": time.perf_counter() - started}
    size = states.file.stat().st_size / 1e6 if states.file.exists() else 0.0
    return found | {"writing": states.seconds, "states": states.times, "megabytes": size}
