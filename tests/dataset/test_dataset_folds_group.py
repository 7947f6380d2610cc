from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.config import Folds, InputError
from tasks.dataset.folds.assignment import assign_folds

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(groups):
    """Rows from the classes of each group's images."""
    return [{"label": label, "group": f"g{number:02d}"} for number, own in enumerate(groups) for label in own]


@quick
@given(
    groups=st.lists(st.text("abc", min_size=1, max_size=5), min_size=6, max_size=16),
    k=st.integers(2, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_groups_stay_whole_and_each_class_is_in_every_training_part(table_of, groups, k, seed):
    manifest = table_of(rows_of([*groups, "a", "b", "c", "a", "b", "c", "a", "b", "c"]))
    fold = assign_folds(manifest, Folds(n_splits=k, kind="group"), seed=seed)
    assert set(fold) == set(range(k))
    by_group = pd.Series(fold).groupby(manifest.table["group"])
    assert (by_group.nunique() == 1).all()
    sizes = np.bincount(by_group.first())
    assert sizes.max() - sizes.min() <= 1
    for number in range(k):
        assert set(manifest.y[fold != number]) == {0, 1, 2}


def test_a_fold_may_lack_a_class(table_of):
    manifest = table_of(rows_of(["a", "a", "a", "b", "b"]))
    fold = assign_folds(manifest, Folds(n_splits=5, kind="group"), seed=0)
    assert [len(set(manifest.y[fold == number])) for number in range(5)] == [1] * 5
    with pytest.raises(InputError, match=r"'b' has images of 2 groups.*is 2\."):
        assign_folds(manifest, Folds(n_splits=5, kind="stratified_group"), seed=0)


def test_another_seed_gives_other_folds(table_of):
    manifest = table_of(rows_of(["ab"] * 20))
    one, again, other = (assign_folds(manifest, Folds(kind="group"), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_a_class_of_one_group_is_refused(table_of):
    with pytest.raises(InputError, match=r"'b' has images of 1 group outside.*No number of folds works"):
        assign_folds(table_of(rows_of(["a"] * 9 + ["ab"])), Folds(kind="group"), seed=0)


def test_fewer_groups_than_folds_are_refused_with_what_works(table_of):
    manifest = table_of(rows_of(["ab", "ab", "ab"]))
    with pytest.raises(InputError, match=r"There are 3 groups.*5 folds.*is 3\."):
        assign_folds(manifest, Folds(kind="group"), seed=0)
    assert set(assign_folds(manifest, Folds(n_splits=3, kind="group"), seed=0)) == {0, 1, 2}


def test_chance_that_always_leaves_a_class_out_is_told(table_of):
    many = [f"{number:02d}" for number in range(40)]
    rows = [{"label": label, "group": f"{label}{half}"} for label in many for half in "xy"]
    with pytest.raises(InputError, match=r"2 folds by chance, 20 times.*stratified_group spreads them"):
        assign_folds(table_of(rows), Folds(n_splits=2, kind="group"), seed=0)
    assert set(assign_folds(table_of(rows), Folds(n_splits=2), seed=0)) == {0, 1}


def test_too_few_images_that_look_different_name_the_settings_for_looks(table_of):
    rows = [{"label": "a", "path": f"a{n}.png", "group": "a0.png"} for n in range(6)]
    rows += [{"label": "b", "path": f"b{n}.png", "group": f"b{n}.png"} for n in range(6)]
    manifest = table_of(rows)
    manifest = replace(manifest, table=manifest.table.assign(declared_group=None))
    with pytest.raises(InputError, match=r"'a' has 1 different image .*join_distance.*data\.allow_leaks"):
        assign_folds(manifest, Folds(n_splits=3), seed=0)
