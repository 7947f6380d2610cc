"""Whether a new model takes the place of the champion: only where it is better on images that neither has seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.comparison.calibration.fold_scalings import fold_scalings, scaled_out_of_fold
from tasks.comparison.champion.mixture import Mixture
from tasks.comparison.ensembling.compared import compare_ensembles
from tasks.comparison.ensembling.ensembles import average_backbones
from tasks.comparison.evidence import Evidence
from tasks.comparison.pooling import predictions_of
from tasks.comparison.statistics.paired import LEAST_GROUPS, PairedDifference, compare_models
from tasks.comparison.statistics.pairing import pair_predictions
from tasks.comparison.text import metric_title
from tasks.dataset.targets import Targets
from tasks.dataset.wording import listed
from tasks.evaluation.metrics import higher_is_better, score

MOST_IMAGES = 2000
"""How many unseen images the champion is asked about; of more, whole groups are drawn."""

CHALLENGER, CHAMPION = "challenger", "champion"


@dataclass(frozen=True)
class Promotion:
    """Whether the alias `champion` moves to a version, and on what grounds.

    Attributes
    ----------
    moves : bool
        Whether it does.
    reason : str
        Why, in a sentence or two.
    metric : str or None
        What the two were compared in.
    difference, ci_low, ci_high : float or None
        The challenger's value less the champion's, with its interval.
    n_images, n_groups : int
        On how many images that neither has seen, and groups of them.
    """

    moves: bool
    reason: str
    metric: str | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n_images: int = 0
    n_groups: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give the fields as a dictionary of plain values."""
        return asdict(self)


def unlike_classes(targets: Targets, about: Mapping[str, Any]) -> str | None:
    """Give why a challenger with these labels cannot be compared with a champion; None where it can."""
    theirs = list(about["classes"])
    if about["kind"] != targets.kind:
        return f"The champion's labels are {about['kind']} and the new ones {targets.kind}, so the two do not compare."
    same = theirs == list(targets.classes) if targets.kind == "ordinal" else set(theirs) == set(targets.classes)
    if same:
        return None
    return (
        f"The champion knows the classes {listed(theirs, 10)} and the new model {listed(targets.classes, 10)}, so the "
        "two do not compare."
    )


def unseen_predictions(evidence: Evidence, mixture: Mixture, seen: Collection[str]) -> pd.DataFrame:
    """Give the challenger's predictions for images that neither model was trained on, one row an image.

    Images are told apart by their pixels. For the holdout's the mean of all folds' models answers, and for the others
    the fold models that left them out: of the backbones that the other folds choose, so that no image chooses the model
    that it is held against. Where the champion has learnt from other images of the same group, that favours it; what
    shares a group with the folds is left out of the holdout, for it would favour the challenger.

    Parameters
    ----------
    evidence : Evidence
        The whole comparison.
    mixture : Mixture
        The challenger.
    seen : collection of str
        SHA-256 of the decoded pixels of the champion's training images.
    """
    known = set(seen)
    trained = evidence.plan.manifest.table[evidence.plan.fold_of_row >= 0]
    out_of_fold = _chosen_out_of_fold(evidence, mixture)
    parts = [out_of_fold[~out_of_fold["sha256"].isin(known)]]
    if mixture.holdout is not None:
        held_out = mixture.holdout
        near = evidence.groups.reindex(held_out["path"]).isin(set(trained["group"].dropna())).to_numpy()
        parts.append(held_out[~held_out["sha256"].isin(known | set(trained["sha256"])) & ~near])
    return _at_most(pd.concat(parts, ignore_index=True), evidence.groups, evidence.plan.experiment.seed)


def judged(
    challenger: pd.DataFrame, champion: pd.DataFrame, evidence: Evidence, n_draws: int | None = None
) -> Promotion:
    """Decide by the two models' predictions for the same images, which neither has seen.

    The challenger wins where the interval of the paired difference in the ranking metric, by a bootstrap of groups,
    lies on its side of zero; with fewer than `LEAST_GROUPS` groups nothing is claimed, and the champion stays.

    Parameters
    ----------
    challenger, champion : DataFrame
        One row an image, as `tasks.evaluation.tables.predictions_table` gives it.
    evidence : Evidence
        Settings and groups.
    n_draws : int or None
        None: as the settings say.
    """
    settings, metric = evidence.plan.experiment, evidence.plan.experiment.metric
    if not len(challenger):
        return Promotion(False, "There is no image that neither the champion nor the new model has seen.", metric)
    paired = pair_predictions(
        {CHALLENGER: challenger, CHAMPION: champion}, evidence.plan.manifest.targets, evidence.groups
    )
    found = compare_models(paired, [metric], n_draws=n_draws or settings.comparison.n_draws, seed=settings.seed)
    own = found.differences[0]
    moves, reason = _verdict(own, found.n_images, found.n_groups)
    return Promotion(
        moves, reason, metric, own.difference, own.low, own.high, n_images=found.n_images, n_groups=found.n_groups
    )


def _verdict(own: PairedDifference, n_images: int, n_groups: int) -> tuple[bool, str]:
    on = f"on {n_images:,} images of {n_groups:,} groups that neither has seen"
    title = metric_title(own.metric)
    if own.difference is None or own.low is None or own.high is None:
        return False, f"The difference in {title} {on} is not defined, so the champion stays."
    figures = f"{title} {own.difference:+.3f} (95 % interval {own.low:+.3f} to {own.high:+.3f}) {on}"
    if n_groups < LEAST_GROUPS:
        return False, f"{figures}: fewer than {LEAST_GROUPS} groups cannot carry a claim, so the champion stays."
    if (own.low > 0) if own.higher_is_better else (own.high < 0):
        return True, f"{figures}: the new model is better."
    return False, f"{figures}: the new model is not told apart as better, so the champion stays."


def _chosen_out_of_fold(evidence: Evidence, mixture: Mixture) -> pd.DataFrame:
    """Give out-of-fold predictions in which each fold's images have the answer of what the other folds choose."""
    targets, metric = evidence.plan.manifest.targets, evidence.plan.experiment.metric
    alone = len(mixture.weights) == 1
    rivals = _whole(evidence) if alone else evidence
    if len(rivals.names) == 1 or dict(mixture.weights) == dict.fromkeys(rivals.names, 1):
        return mixture.out_of_fold
    tables = {name: scaled_out_of_fold(rivals, name, fold_scalings(rivals, name)) for name in rivals.names}
    weights_of_fold = {} if alone else _greedy_weights(rivals)
    parts = []
    for fold in sorted(set(next(iter(tables.values()))["fold"])):
        weights = weights_of_fold.get(fold) or {_best(tables, fold, targets, metric): 1}
        own = {name: table[table["fold"] == fold].reset_index(drop=True) for name, table in tables.items()}
        parts.append(average_backbones(own, targets, weights))
    return pd.concat(parts, ignore_index=True)


def _whole(evidence: Evidence) -> Evidence:
    """Give the comparison of the backbones that have all their folds: no other one is ever registered by itself."""
    n_folds = evidence.plan.n_folds
    whole = {name: own for name, own in evidence.results.items() if len(own.finished) == n_folds}
    return Evidence(evidence.plan, whole, evidence.fetch)


def _greedy_weights(evidence: Evidence) -> dict[int, dict[str, int]]:
    compared = evidence.once(compare_ensembles)
    if compared is None or compared.greedy is None:
        return {}
    rows = compared.greedy.weights_of_fold.to_dict(orient="index")
    return {int(str(fold)): {str(name): int(often) for name, often in row.items()} for fold, row in rows.items()}


def _best(tables: Mapping[str, pd.DataFrame], fold: int, targets: Targets, metric: str) -> str:
    """Give the backbone that is best on all folds but one."""
    values: dict[str, float] = {}
    for name, table in tables.items():
        found = predictions_of(table[table["fold"] != fold], targets)
        scores = score(found.y_true, found.y_prob, targets.classes, kind=targets.kind, y_pred=found.y_pred)
        values[name] = scores.get(metric, np.nan)
    known = {name: value for name, value in values.items() if not np.isnan(value)}
    if not known:
        return next(iter(tables))
    return max(known, key=lambda name: known[name] if higher_is_better(metric) else -known[name])


def _at_most(table: pd.DataFrame, groups: pd.Series, seed: int) -> pd.DataFrame:
    """Give all rows, or those of groups drawn until there are `MOST_IMAGES`."""
    if len(table) <= MOST_IMAGES:
        return table
    own = groups.reindex(table["path"]).to_numpy(dtype=object)
    names = np.array(
        [
            path if group is None or group != group else f"\0{group}"
            for path, group in zip(table["path"], own, strict=True)
        ]
    )
    sizes = pd.Series(names).value_counts(sort=False)
    drawn = sizes.sample(frac=1, random_state=seed)
    kept = drawn.index[drawn.cumsum() <= MOST_IMAGES]
    return table[np.isin(names, kept)].reset_index(drop=True)
