"""Backbones of several recorded experiments: whether they can be compared at all, and then how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from tasks.comparison.common_folds import in_common
from tasks.comparison.record.contenders import Contender, RecordedData
from tasks.comparison.standings.standing import Standings, stand
from tasks.comparison.statistics.bootstrap import N_DRAWS
from tasks.comparison.statistics.paired import compare_models
from tasks.comparison.statistics.pairing import pair_predictions
from tasks.comparison.text import count, listing
from tasks.dataset.wording import listed
from tasks.evaluation.names import metrics_of

_COLUMNS = {"sha256": "other pixels", "label": "another label", "group": "another group"}
_SHOWN_SETTINGS = 12
_NOT_DECISIVE = ("data.path", "runner.", "cache.", "champion.", "comparison.", "explanation.")


@dataclass(frozen=True)
class Unlike:
    """How two experiments differ in what they stand on.

    Attributes
    ----------
    first, second : str
        What they are called.
    images, pixels, labels, groups, folds : bool
        Whether they differ in that; of pixels, labels, groups and folds, on the images that both have.
    said : tuple of str
        That in words; empty where nothing differs.
    """

    first: str
    second: str
    images: bool
    pixels: bool
    labels: bool
    groups: bool
    folds: bool
    said: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What comes of it."""
        if not self.said:
            return f"{self.first} and {self.second} have the same images, pixels, labels, groups and folds."
        return (
            f"{self.first} and {self.second} differ: {'; '.join(self.said)}. So no test is made between the two: "
            "backbones are compared on the same images of the same folds only."
        )


def unlike(one: RecordedData, other: RecordedData) -> Unlike:
    """Say how two experiments differ in what they stand on."""
    only_one, only_other = (a.difference(b) for a, b in _both_ways(one.images.index, other.images.index))
    said = [
        f"{count(len(paths), 'image')} only in {name} ({listed(paths, 3)})"
        for name, paths in ((one.label, only_one), (other.label, only_other))
        if len(paths)
    ]
    shared = one.images.index.intersection(other.images.index)
    first, second = one.images.loc[shared], other.images.loc[shared]
    changed = {name: shared[(first[name] != second[name]).to_numpy()] for name in _COLUMNS}
    said += [
        f"{count(len(paths), 'image')} with {_COLUMNS[name]} ({listed(paths, 3)})"
        for name, paths in changed.items()
        if len(paths)
    ]
    same_targets = one.targets == other.targets
    if not same_targets:
        said.append(f"{_classes(one)} against {_classes(other)}")
    folds = _unlike_folds(one, other, shared)
    said += folds
    return Unlike(
        first=one.label,
        second=other.label,
        images=bool(len(only_one) or len(only_other)),
        pixels=bool(len(changed["sha256"])),
        labels=bool(len(changed["label"])) or not same_targets,
        groups=bool(len(changed["group"])),
        folds=bool(folds),
        said=tuple(said),
    )


def standings_of(contenders: Sequence[Contender], metric: str) -> list[Standings]:
    """Compare those contenders that stand on the same images of the same folds, a set of such ones at a time.

    Parameters
    ----------
    contenders : sequence of Contender
        Best first.
    metric : str
        What they are ordered by, where their labels have it; and by `log_loss` as well.

    Returns
    -------
    list of Standings
        One for each two or more contenders that can be compared; empty where none can.
    """
    found = []
    for alike in _alike(contenders):
        common = in_common({own.label: list(own.fold_runs) for own in alike})
        chosen = [own for own in alike if own.label in common.names]
        data = alike[0].data
        metrics = [name for name in dict.fromkeys([metric, "log_loss"]) if name in metrics_of(data.targets.kind)]
        if len(chosen) < 2:
            continue
        tables = {own.label: own.pooled(set(common.folds)) for own in chosen}
        paired = pair_predictions(tables, data.targets, data.groups)
        found.append(stand(paired, compare_models(paired, metrics, n_draws=N_DRAWS), metrics))
    return found


def unlike_settings(data: Sequence[RecordedData]) -> dict[str, list[object]]:
    """Give the settings that are not the same in all experiments, by their keys, with the value in each.

    What cannot change a figure is left out. A setting that an experiment of an older version does not know is None.
    """
    keys = dict.fromkeys(key for own in data for key in own.settings if not key.startswith(_NOT_DECISIVE))
    values = {key: [own.settings.get(key) or None for own in data] for key in keys}
    return {key: own for key, own in values.items() if any(value != own[0] for value in own)}


def settings_told(unlike: dict[str, list[object]]) -> str | None:
    """Say which settings differ, in a sentence; None where none does."""
    if not unlike:
        return None
    said = [f"{key} {' / '.join(map(_plain, values))}" for key, values in unlike.items()]
    rest = len(said) - _SHOWN_SETTINGS
    more = f" and {rest} more" if rest > 0 else ""
    return f"Settings that differ: {'; '.join(said[:_SHOWN_SETTINGS])}{more}."


def same_fold_runs(contenders: Sequence[Contender]) -> list[str]:
    """Say which contenders are the very same fold runs, reused by a later experiment."""
    return [
        f"{listing([one.label, other.label])} are the same fold runs, so they cannot differ."
        for one, other in combinations(contenders, 2)
        if dict(one.fold_runs) == dict(other.fold_runs)
    ]


def _both_ways(one: pd.Index, other: pd.Index) -> tuple[tuple[pd.Index, pd.Index], tuple[pd.Index, pd.Index]]:
    return (one, other), (other, one)


def _unlike_folds(one: RecordedData, other: RecordedData, shared: pd.Index) -> list[str]:
    if list(one.folds) != list(other.folds):
        cuts = [count(own.folds.shape[1], "cut") for own in (one, other)]
        return [f"{cuts[0]} into folds against {cuts[1]}"]
    moved = shared[(one.folds.loc[shared] != other.folds.loc[shared]).any(axis=1).to_numpy()]
    return [f"{count(len(moved), 'image')} in another fold ({listed(moved, 3)})"] if len(moved) else []


def _alike(contenders: Sequence[Contender]) -> list[list[Contender]]:
    """Bring those together whose experiments do not differ in what they stand on."""
    sets: list[list[Contender]] = []
    for own in contenders:
        home = next((found for found in sets if not unlike(found[0].data, own.data).said), None)
        if home is None:
            sets.append([own])
        else:
            home.append(own)
    return sets


def _classes(data: RecordedData) -> str:
    return f"the {data.targets.kind} classes {listed(data.targets.classes)}"


def _plain(value: object) -> str:
    return "not set" if value is None else str(value)
