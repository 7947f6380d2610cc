from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.config import Folds, InputError
from tasks.dataset.folds.assignment import assign_folds, by_repeat, fold_rows
from tasks.dataset.targets import Targets

quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def images(table_of):
    """Make a manifest: 40 images of two classes, ten of them held out, in single file or in twenty groups."""

    def make(grouped=False, several=False):
        rows = []
        for number in range(40):
            label = "a b" if several and number % 3 == 0 else "ab"[number % 2]
            group = f"g{number % 20}" if grouped else None
            split = "holdout" if 5 <= number % 20 < 10 else None
            rows.append({"label": label, "group": group, "split": split, "path": f"{number:02d}.png"})
        return table_of(rows, targets=Targets(("a", "b"), "multilabel" if several else "multiclass"))

    return make


@quick
@given(
    kind=st.sampled_from(["auto", "group"]),
    grouped=st.booleans(),
    several=st.booleans(),
    k=st.integers(2, 4),
    n_repeats=st.integers(2, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_repeat_is_a_partition_of_its_own(images, kind, grouped, several, k, n_repeats, seed):
    manifest = images(grouped or kind == "group", several)
    fold_of_row = assign_folds(manifest, Folds(n_splits=k, n_repeats=n_repeats, kind=kind), seed=seed)
    assert fold_of_row.shape == (40, n_repeats)
    held = (manifest.table["split"] == "holdout").to_numpy()
    groups = manifest.table["group"]
    for repeat, fold in enumerate(fold_of_row.T):
        assert (fold[held] == -1).all()
        assert set(fold[~held]) == set(range(repeat * k, (repeat + 1) * k))
        for group in groups.dropna().unique():
            assert len(set(fold[groups == group])) == 1
    cuts = {tuple(fold % k) for fold in fold_of_row[~held].T}
    assert len(cuts) == n_repeats


@quick
@given(grouped=st.booleans(), several=st.booleans(), seed=st.integers(0, 999))
def test_the_first_repeat_is_what_one_cut_gives(images, grouped, several, seed):
    manifest = images(grouped, several)
    one = assign_folds(manifest, Folds(n_splits=3), seed=seed)
    assert one.shape == (40,)
    np.testing.assert_array_equal(assign_folds(manifest, Folds(n_splits=3, n_repeats=3), seed=seed)[:, 0], one)
    np.testing.assert_array_equal(by_repeat(one), one[:, None])


def test_the_rows_of_every_fold_of_every_repeat_are_disjoint_and_all_there(images):
    manifest = images(grouped=True)
    fold_of_row = assign_folds(manifest, Folds(n_splits=3, n_repeats=2), seed=0)
    tested = []
    for fold in range(6):
        rows = fold_rows(manifest, fold_of_row, fold, validation_fraction=0.25, seed=0)
        np.testing.assert_array_equal(np.sort(np.concatenate(list(vars(rows).values()))), np.arange(40))
        np.testing.assert_array_equal(rows.test, np.flatnonzero(fold_of_row[:, fold // 3] == fold))
        assert len(rows.validation)
        tested += rows.test.tolist()
    assert (np.unique(tested, return_counts=True)[1] == 2).all()


def test_what_cannot_be_cut_once_is_refused_with_what_works_every_time(images, table_of):
    manifest = table_of([{"label": label} for label in "a" * 9 + "b" * 3])
    with pytest.raises(InputError, match=r"'b' has 3 images.*is 3\."):
        assign_folds(manifest, Folds(n_splits=4, n_repeats=5), seed=0)
    assert assign_folds(manifest, Folds(n_splits=3, n_repeats=5), seed=0).shape == (12, 5)


def test_ready_made_folds_are_not_cut_anew(table_of):
    rows = [{"label": "ab"[number % 2], "fold": f"f{number % 4 // 2}"} for number in range(20)]
    with pytest.raises(InputError, match="n_repeats is 2, and the data's own folds"):
        assign_folds(table_of(rows), Folds(n_repeats=2), seed=0)
    assert assign_folds(table_of(rows), Folds(n_repeats=2, kind="stratified"), seed=0).shape == (20, 2)
