"""Experiments side by side: how what they stand on differs, and that only like is tested against like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.comparison.common_folds import in_common
from tasks.comparison.record.across import same_fold_runs, settings_told, standings_of, unlike, unlike_settings
from tasks.comparison.record.contenders import Contender, RecordedData
from tasks.dataset.folds.folds_file import folds_table
from tasks.dataset.targets import Targets
from tests.support.made_evidence import made_evidence

TARGETS = Targets(("cat", "dog"))


def data(called="one", **columns):
    n = 6
    own = {
        "sha256": [f"pixels {i}" for i in range(n)],
        "label": ["cat", "dog"] * 3,
        "group": ["p", "p", "q", "q", "", ""],
        "fold": ["0", "0", "1", "1", "2", "2"],
    }
    paths = pd.Index([f"{i}.png" for i in range(n)], name="path")
    return RecordedData(called, "d", TARGETS, pd.DataFrame(own | columns, index=paths), {})


def test_equal_data_do_not_differ():
    found = unlike(data(), data("other"))
    assert found.said == ()
    assert [found.images, found.pixels, found.labels, found.groups, found.folds] == [False] * 5
    assert found.sentence == "one and other have the same images, pixels, labels, groups and folds."


@pytest.mark.parametrize(
    ("columns", "part", "said"),
    [
        ({"sha256": ["x", *(f"pixels {i}" for i in range(1, 6))]}, "pixels", "1 image with other pixels (0.png)"),
        ({"label": ["dog", "dog", "cat", "dog", "cat", "dog"]}, "labels", "1 image with another label (0.png)"),
        ({"group": ["p", "p", "q", "q", "q", ""]}, "groups", "1 image with another group (4.png)"),
        ({"fold": ["0", "1", "1", "1", "2", "2"]}, "folds", "1 image in another fold (1.png)"),
        ({"fold_1": ["3", "4", "5", "3", "4", "5"]}, "folds", "1 cut into folds against 2 cuts"),
    ],
)
def test_what_differs_is_named_alone(columns, part, said):
    found = unlike(data(), data("other", **columns))
    assert found.said == (said,)
    assert [name for name in ("images", "pixels", "labels", "groups", "folds") if getattr(found, name)] == [part]
    assert f"one and other differ: {said}. So no test is made" in found.sentence


def test_missing_images_and_other_classes_are_named_from_both_sides():
    less = replace(data(), images=data().images.iloc[1:])
    more = replace(data("other"), images=data().images.iloc[:5], targets=Targets(("dog", "cat")))
    found = unlike(less, more)
    assert found.images
    assert found.labels
    assert found.said == (
        "1 image only in one (5.png)",
        "1 image only in other (0.png)",
        "the multiclass classes cat, dog against the multiclass classes dog, cat",
    )


def test_settings_that_differ_are_told_and_those_that_change_no_figure_are_not():
    shared = {"training.epochs": 3, "seed": 0, "data.path": "here", "runner.workers": 2}
    one = replace(data(), settings=shared)
    other = replace(data(), settings=shared | {"training.epochs": 9, "data.path": "there", "data.corrections": []})
    found = unlike_settings([one, other])
    assert found == {"training.epochs": [3, 9]}
    assert settings_told(found) == "Settings that differ: training.epochs 3 / 9."
    assert settings_told(unlike_settings([one, one])) is None
    many = {f"key{i}": [i, None] for i in range(20)}
    assert settings_told(many).endswith("key11 11 / not set and 8 more.")


@dataclass
class Files:
    """Fold runs' files where the evidence wrote them."""

    root: Path

    def fetch(self, run_id, file):
        return self.root / run_id / file


def contenders(root, label, **settings):
    root.mkdir()
    evidence = made_evidence(root, {"net": 1.0}, n_validation=20, n=120, **settings)
    plan = evidence.plan
    images = folds_table(plan.manifest, plan.folds_of_row).fillna("").astype(str).set_index("path").sort_index()
    own = RecordedData(label, "d", plan.manifest.targets, images, {})
    runs = {fold.fold: str(fold.run_id) for result in evidence.results.values() for fold in result.finished}
    return Contender(f"{label}/net", "net", "run", own, runs, Files(root)), evidence


def test_experiments_are_compared_on_the_folds_that_both_have_finished(tmp_path):
    whole, _ = contenders(tmp_path / "whole", "whole", noise=0.1)
    part, evidence = contenders(tmp_path / "part", "part", noise=0.9, missing={"net": [1]})
    [found] = standings_of([whole, part], "accuracy")
    assert set(found.order) == {"whole/net", "part/net"}
    assert found.compared.n_images == len(evidence.results["net"].out_of_fold)
    assert found.score("part/net").value == pytest.approx(evidence.results["net"].pooled["accuracy"])
    assert found.tested


@pytest.mark.parametrize("settings", [{"n_repeats": 2}, {"group_size": 4}, {"kind": "ordinal"}, {"kind": "multilabel"}])
def test_repeats_groups_and_all_kinds_of_labels(tmp_path, settings):
    one, evidence = contenders(tmp_path / "one", "one", noise=0.1, **settings)
    other, _ = contenders(tmp_path / "other", "other", noise=0.9, **settings)
    [found] = standings_of([one, other], evidence.plan.experiment.metric)
    score = found.score("one/net")
    assert score.value == pytest.approx(evidence.results["net"].pooled[evidence.plan.experiment.metric])
    assert found.compared.n_groups == (30 if "group_size" in settings else 120)


def test_without_a_fold_or_an_image_in_common_nothing_is_tested(tmp_path):
    first, _ = contenders(tmp_path / "first", "first", missing={"net": [1, 2]})
    second, _ = contenders(tmp_path / "second", "second", missing={"net": [0]})
    elsewhere, _ = contenders(tmp_path / "elsewhere", "elsewhere", seed=8)
    assert standings_of([first, second], "accuracy") == []
    assert standings_of([first, elsewhere], "accuracy") == []


def test_the_same_fold_runs_are_recognised(tmp_path):
    one, _ = contenders(tmp_path / "one", "one")
    again = replace(one, label="again/net")
    assert same_fold_runs([one, again]) == ["one/net and again/net are the same fold runs, so they cannot differ."]
    assert same_fold_runs([one, replace(one, label="other", fold_runs={0: "x"})]) == []


FINISHED = st.dictionaries(st.sampled_from("abcd"), st.sets(st.integers(0, 4)), max_size=4)


@given(FINISHED)
def test_all_that_are_compared_have_the_folds_and_nobody_is_left_out_who_could_stay(finished):
    names, folds = in_common(finished)
    assert all(set(folds) <= finished[name] for name in names)
    assert bool(names) == bool(folds) == any(finished.values())
    others = [name for name in finished if finished[name] and name not in names]
    if names and len(others) == 1:
        # One alone is left out only where it has no fold in common with the others.
        assert not finished[others[0]] & set.intersection(*(finished[name] for name in names))
    if all(finished.values()) and finished and set.intersection(*finished.values()):
        assert set(names) == set(finished)


def test_the_one_with_the_fewest_folds_is_left_out_whatever_its_place():
    finished = {"few": {4}, "one": {0, 1, 2}, "two": {1, 2, 3}}
    for order in permutations(finished):
        found = in_common({name: finished[name] for name in order})
        assert set(found.names) == {"one", "two"}
        assert found.folds == (1, 2)
