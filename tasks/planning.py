"""From settings to a plan, without Prefect: what the flow does as tasks, and what is looked up before it starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import zip_longest

from tasks.backbones import registry
from tasks.comparison.compared_metrics import check_metrics
from tasks.comparison.subgroups.columns import check_columns
from tasks.comparison.subgroups.findings import CODES as SUBGROUPS
from tasks.config import Experiment, InputError
from tasks.dataset.audit.findings import check_off
from tasks.dataset.corrected_manifest import corrections_told, with_corrections
from tasks.dataset.folds.assignment import assign_folds
from tasks.dataset.folds.leaks import kept_together
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.photographs import read_photographs
from tasks.dataset.sources.remote import at_hand, told_by_address
from tasks.dataset.store import cache_home, remote_home
from tasks.evaluation.metrics import METRIC_NAMES, metrics_of
from tasks.evaluation.thresholds import given_thresholds
from tasks.explanation.edge_looks import CODES as LOOKS
from tasks.explanation.limits import CODES as LIMITS
from tasks.explanation.overlays import colour_table
from tasks.workers.events import StepEvent, publish
from tasks.workers.photograph_plan import PhotographPlan, plan_photographs
from tasks.workers.plan import Cell, Plan, make_plan


def check_settings(experiment: Experiment) -> None:
    """Refuse what can be refused without looking at an image.

    Raises
    ------
    InputError
        An unknown backbone, freeze point, weight source, metric, colour map or code of the audit, or a size that is too
        small.
    """
    if experiment.data.labels.kind == "none":
        raise InputError(
            f"The experiment {experiment.name} is about photographs without labels (data.labels.kind: none): there is "
            "nothing to cut into folds, to train or to score. `foldcam run` explains them."
        )
    for name in experiment.backbones:
        spec, model = registry.get(name), experiment.model_of(name)
        spec.check_size(model.size or spec.native_size)
        spec.boundary(model.freeze)
        spec.check_weights(model.weights)
    metric, kind = experiment.metric, experiment.data.labels.target_kind
    known = metrics_of(kind)
    if metric not in known:
        near = get_close_matches(metric, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        there = f"{kind} labels have no metric" if metric in METRIC_NAMES else "there is no metric"
        raise InputError(f"evaluation.metric: {there} {metric!r}.{hint} The metrics are: {', '.join(known)}.")
    colour_table(experiment.explanation.colormap)
    check_off(experiment.data.audit.off, (*LOOKS, *LIMITS, *SUBGROUPS))


def load_plan(experiment: Experiment, *, fresh: bool = False) -> Plan:
    """Read the images and the folds and give the plan; files unchanged since the last time are not decoded again.

    Raises
    ------
    InputError
        Whatever is wrong with the settings, the images or the folds.
    """
    check_settings(experiment)
    return plan_folds(experiment, read_images(experiment, fresh=fresh))


def read_images(experiment: Experiment, *, fresh: bool = False) -> Manifest:
    """Read every image and give the manifest, with copies and declared groups joined to what folds keep together.

    Raises
    ------
    InputError
        The folder, its labels, an image or a table of corrections cannot be used.
    """
    home, progress = cache_home(), step_progress("reading images")
    with at_hand(experiment.data, remote_home(), fresh=fresh, progress=step_progress("fetching images")) as data:
        found = read_manifest(data, cache_dir=home / "manifests", fresh=fresh, progress=progress)
        manifest = with_corrections(found, data.corrections)
        if manifest.corrections:
            publish(StepEvent(corrections_told(manifest.corrections).removesuffix(".")))
        return kept_together(manifest, data)


def plan_folds(experiment: Experiment, manifest: Manifest) -> Plan:
    """Assign the folds and give the plan.

    Raises
    ------
    InputError
        The folds cannot be made, or what belongs together stands on two sides of a split (`leaks.Leak`), or the
        thresholds do not fit the labels, or a column of `comparison.subgroups` or one of `comparison.metrics` is not
        there.
    """
    if isinstance(experiment.evaluation.thresholds, dict):
        given_thresholds(experiment.evaluation.thresholds, manifest.classes)
    check_columns(experiment.comparison.subgroups, manifest.table)
    check_metrics(experiment.comparison.metrics, manifest.targets)
    with told_by_address(manifest.root):
        fold_of_row = assign_folds(manifest, experiment.folds, seed=experiment.seed)
    return make_plan(experiment, manifest, fold_of_row, cache_home())


def load_photographs(experiment: Experiment, *, fresh: bool = False) -> PhotographPlan:
    """Check the settings, open every photograph and give the plan.

    Raises
    ------
    InputError
        The settings, the folder or an image cannot be used.
    """
    for name in experiment.backbones:
        model = experiment.model_of(name)
        registry.get_with_classifier(name, model.weights, model.size)
    colour_table(experiment.explanation.colormap)
    home = cache_home()
    with at_hand(experiment.data, remote_home(), fresh=fresh, progress=step_progress("fetching images")) as data:
        photographs = read_photographs(data, step_progress("reading photographs"))
    return plan_photographs(experiment, photographs, home)


def expected_cost(experiment: Experiment, backbone: str) -> float:
    """Give what a fold run costs against others, for the order of work; an estimate in no unit.

    A layer that is trained is passed forward and backward in every epoch, a frozen one at most once.
    """
    spec, model, training = registry.get(backbone), experiment.model_of(backbone), experiment.training_of(backbone)
    size = model.size or spec.native_size
    passes = {"none": 3.0, "last_block": 0.6}.get(model.freeze, 0.01) * training.epochs
    how = training.augmentation
    if how.active and how.mode == "online":
        passes = max(passes, training.epochs)
    return spec.gflops * (size / spec.native_size) ** 2 * passes


def order_of_work(experiment: Experiment, cells: Sequence[Cell], workers: int) -> list[Cell]:
    """Give the fold runs in the order in which they are best begun.

    The longest come first, so that no worker is left alone with one at the end. Where there are no more workers than
    backbones, as many backbones go side by side as there are workers, so that each worker can stay with one that it has
    compiled; with more of them, that would leave long fold runs of each backbone for the end.

    Parameters
    ----------
    experiment : Experiment
        The settings, which the expected costs follow from.
    cells : sequence of (backbone, fold)
        The fold runs.
    workers : int
        How many are done at a time.
    """
    by_backbone: dict[str, list[Cell]] = {}
    for cell in cells:
        by_backbone.setdefault(cell[0], []).append(cell)
    lanes = sorted(by_backbone.values(), key=lambda own: -expected_cost(experiment, own[0][0]))
    if workers > len(lanes):
        return [cell for lane in lanes for cell in lane]
    side_by_side = (zip_longest(*lanes[start : start + workers]) for start in range(0, len(lanes), workers))
    return [cell for turns in side_by_side for turn in turns for cell in turn if cell is not None]


def input_sizes(experiment: Experiment, backbones: list[str]) -> list[int]:
    """Give the image sizes that the backbones take, each once."""
    return sorted({experiment.model_of(name).size or registry.get(name).native_size for name in backbones})


def step_progress(step: str) -> Callable[[int, int], None]:
    """Give a callback that tells listeners how far a step is, at most fifty times."""
    last = [-1]

    def report(done: int, total: int) -> None:
        share = 50 * done // max(total, 1)
        if share != last[0]:
            last[0] = share
            publish(StepEvent(step, done, total))

    return report
