from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.config import Folds, InputError
from tasks.dataset.folds.assignment import assign_folds, fold_rows
from tasks.dataset.folds.leaks import Leak
from tasks.dataset.targets import Targets

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(counts, **more):
    return [{"label": label, **more} for label, count in counts.items() for _ in range(count)]


@st.composite
def class_counts(draw, least):
    counts = draw(st.lists(st.integers(least, 30), min_size=2, max_size=4))
    return {f"class {number}": count for number, count in enumerate(counts)}


@quick
@given(counts=class_counts(least=5), k=st.integers(2, 5), seed=st.integers(0, 2**32 - 1))
def test_stratified_folds_partition_the_images_and_spread_each_class_to_one_image(table_of, counts, k, seed):
    manifest = table_of(rows_of(counts))
    fold = assign_folds(manifest, Folds(n_splits=k), seed=seed)
    assert fold.dtype == np.int64
    assert set(fold) == set(range(k))
    for index, label in enumerate(manifest.classes):
        per_fold = np.bincount(fold[manifest.y == index], minlength=k)
        assert per_fold.sum() == counts[label]
        assert (np.abs(per_fold - counts[label] / k) < 1).all()


@quick
@given(counts=class_counts(least=4), seed=st.integers(0, 1000), shuffle=st.randoms())
def test_folds_do_not_depend_on_the_order_of_the_rows(table_of, counts, seed, shuffle):
    manifest = table_of(rows_of(counts))
    fold = assign_folds(manifest, Folds(n_splits=3), seed=seed)
    order = list(range(len(fold)))
    shuffle.shuffle(order)
    mixed = type(manifest)(
        manifest.table.iloc[order].reset_index(drop=True), manifest.root, manifest.targets, manifest.rejected
    )
    np.testing.assert_array_equal(assign_folds(mixed, Folds(n_splits=3), seed=seed), fold[order])


def test_another_seed_gives_other_folds_and_the_same_seed_the_same(table_of):
    manifest = table_of(rows_of({"a": 20, "b": 20}))
    first, again, other = (assign_folds(manifest, Folds(), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@st.composite
def grouped_rows(draw):
    """Groups of one or two classes, at least four groups a class."""
    rows = []
    for number in range(draw(st.integers(8, 14))):
        label = "ab"[number % 2]
        size = draw(st.integers(1, 5))
        rows += [{"label": label, "group": f"g{number}"} for _ in range(size)]
        if draw(st.booleans()):
            rows.append({"label": "ba"[number % 2], "group": f"g{number}"})
    return rows


@quick
@given(rows=grouped_rows(), seed=st.integers(0, 1000))
def test_group_folds_keep_groups_whole_and_hold_every_class(table_of, rows, seed):
    manifest = table_of(rows)
    fold = assign_folds(manifest, Folds(n_splits=3), seed=seed)
    groups = manifest.table["group"].to_numpy()
    for group in set(groups):
        assert len(set(fold[groups == group])) == 1
    for number in range(3):
        assert set(manifest.y[fold == number]) == {0, 1}


@quick
@given(rows=grouped_rows(), seed=st.integers(0, 1000), fraction=st.floats(0.05, 0.6))
def test_the_rows_of_a_fold_run_are_disjoint_also_by_group(table_of, rows, seed, fraction):
    manifest = table_of(rows)
    fold_of_row = assign_folds(manifest, Folds(n_splits=3), seed=seed)
    parts = [fold_rows(manifest, fold_of_row, fold, validation_fraction=fraction, seed=seed) for fold in range(3)]
    groups = manifest.table["group"].to_numpy()
    for fold, rows_ in enumerate(parts):
        together = np.concatenate([rows_.train, rows_.validation, rows_.test])
        assert sorted(together) == list(range(len(manifest.table)))
        assert rows_.test.tolist() == np.flatnonzero(fold_of_row == fold).tolist()
        for one, two in ((rows_.train, rows_.validation), (rows_.train, rows_.test), (rows_.validation, rows_.test)):
            assert not set(groups[one]) & set(groups[two])
        assert len(rows_.validation)
        assert set(manifest.y[rows_.train]) == {0, 1}


@quick
@given(counts=class_counts(least=3), seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.01, 0.89), held=st.booleans())
def test_validation_takes_its_share_of_each_class_and_leaves_some_in_training(table_of, counts, seed, fraction, held):
    rows = rows_of(counts) + (rows_of(counts, split="holdout") if held else [])
    manifest = table_of(rows)
    fold_of_row = assign_folds(manifest, Folds(n_splits=3), seed=seed)
    part = fold_rows(manifest, fold_of_row, 1, validation_fraction=fraction, seed=seed)
    together = np.concatenate([part.train, part.validation, part.test, part.holdout])
    assert sorted(together) == list(range(len(rows)))
    assert set(part.holdout) == set(np.flatnonzero(manifest.table["split"] == "holdout"))
    for rows_ in (part.train, part.validation, part.test, part.holdout):
        assert (np.diff(rows_) > 0).all()
    for index in range(len(counts)):
        train, validation = (int((manifest.y[rows_] == index).sum()) for rows_ in (part.train, part.validation))
        assert train >= 1
        assert validation >= 1 or train + validation == 1
        assert abs(validation - fraction * (train + validation)) <= 1


def test_validation_depends_on_seed_and_fold_alone(table_of):
    manifest = table_of(rows_of({"a": 40, "b": 40}))
    fold_of_row = np.arange(80) % 4
    draws = {
        (seed, fold): fold_rows(manifest, fold_of_row, fold, validation_fraction=0.2, seed=seed).validation.tolist()
        for seed in (0, 1)
        for fold in (0, 1)
    }
    again = fold_rows(manifest, fold_of_row, 1, validation_fraction=0.2, seed=1).validation.tolist()
    assert again == draws[1, 1]
    assert len({tuple(rows) for rows in draws.values()}) == 4


def test_validation_by_group_comes_near_to_its_fraction(table_of):
    rows = [{"label": "ab"[group % 2], "group": f"g{group}"} for group in range(60) for _ in range(4)]
    manifest = table_of(rows)
    fold_of_row = assign_folds(manifest, Folds(), seed=0)
    for fraction in (0.1, 0.2, 0.3, 0.5):
        part = fold_rows(manifest, fold_of_row, 0, validation_fraction=fraction, seed=0)
        assert len(part.validation) / (len(part.train) + len(part.validation)) == pytest.approx(fraction, abs=0.03)


def test_a_class_with_fewer_images_than_folds_is_named_with_what_works(table_of):
    manifest = table_of(rows_of({"many": 20, "few": 3}))
    with pytest.raises(InputError, match=r"'few' has 3 images.*5 folds.*is 3\."):
        assign_folds(manifest, Folds(n_splits=5), seed=0)
    assert set(assign_folds(manifest, Folds(n_splits=3), seed=0)) == {0, 1, 2}
    with pytest.raises(InputError, match="No number of folds"):
        assign_folds(table_of(rows_of({"many": 20, "one": 1})), Folds(n_splits=2), seed=0)


def test_images_that_are_held_out_do_not_count_for_a_class(table_of):
    manifest = table_of(rows_of({"a": 9, "b": 2}) + rows_of({"b": 9}, split="holdout"))
    with pytest.raises(InputError, match="'b' has 2 images outside the holdout"):
        assign_folds(manifest, Folds(n_splits=3), seed=0)
    fold = assign_folds(manifest, Folds(n_splits=2), seed=0)
    assert ((fold == -1) == (manifest.table["split"] == "holdout").to_numpy()).all()


def test_a_class_without_any_image_is_named(table_of):
    manifest = table_of(rows_of({"a": 9, "b": 9}), classes=("a", "b", "ghost"))
    with pytest.raises(InputError, match="'ghost' has 0 images"):
        assign_folds(manifest, Folds(), seed=0)


def test_a_class_with_fewer_groups_than_folds_is_named_with_what_works(table_of):
    rows = [{"label": "a", "group": f"a{number % 8}"} for number in range(24)]
    rows += [{"label": "b", "group": f"b{number % 3}"} for number in range(24)]
    with pytest.raises(InputError, match=r"'b' has images of 3 groups.*4 folds.*is 3\."):
        assign_folds(table_of(rows), Folds(n_splits=4), seed=0)


def test_a_group_too_large_to_split_is_named(table_of):
    # Each class has three groups, but there are only four, and no three parts of them each hold a, b and c.
    rows = [{"label": "ab"[number % 2], "group": "clinic"} for number in range(90)]
    rows += [
        {"label": label, "group": group} for group, both in (("p", "ab"), ("q", "ac"), ("r", "bc")) for label in both
    ]
    rows.append({"label": "c", "group": "clinic"})
    with pytest.raises(InputError, match=r"group 'clinic' alone has 91 of 97 images.*is 2\."):
        assign_folds(table_of(rows), Folds(n_splits=3), seed=0)


def test_folds_are_found_where_only_one_way_of_cutting_gives_each_all_classes(table_of):
    rows = [{"label": "ab"[number % 2], "group": "clinic"} for number in range(90)]
    rows += [
        {"label": label, "group": group} for group, own in (("p", "abc"), ("q", "a"), ("r", "bc")) for label in own
    ]
    manifest = table_of([*rows, {"label": "c", "group": "clinic"}])
    fold = assign_folds(manifest, Folds(n_splits=3), seed=0)
    parts = {frozenset(manifest.table["group"][fold == number]) for number in range(3)}
    assert parts == {frozenset({"clinic"}), frozenset({"p"}), frozenset({"q", "r"})}


@quick
@given(
    counts=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    per_group=st.sampled_from([None, 1, 2]),
    k=st.integers(2, 8),
    seed=st.integers(0, 99),
)
def test_the_largest_number_of_folds_that_is_offered_works_and_one_more_does_not(table_of, counts, per_group, k, seed):
    rows = rows_of({f"c{number}": count for number, count in enumerate(counts)})
    if per_group:
        rows = [row | {"group": f"g{number // per_group}"} for number, row in enumerate(rows)]
    manifest = table_of(rows)

    def refusal(n_splits):
        try:
            assign_folds(manifest, Folds(n_splits=n_splits), seed=seed)
        except InputError as fault:
            return str(fault)
        return ""

    if not (said := refusal(k)):
        return
    offered = re.search(r"largest folds\.n_splits that works here is (\d+)\.", said)
    works = int(offered[1]) if offered else 1
    assert works < k
    assert bool(offered) != ("No number of folds works" in said)
    assert not offered or not refusal(works)
    assert all(refusal(more) for more in range(works + 1, k))


def test_grades_are_cut_as_classes(table_of):
    rows = [{"label": str(number % 3), "path": f"{number}.png"} for number in range(50)]
    grades, classes = (table_of(rows, targets=Targets(("0", "1", "2"), kind)) for kind in ("ordinal", "multiclass"))
    fold = assign_folds(grades, Folds(), seed=3)
    np.testing.assert_array_equal(fold, assign_folds(classes, Folds(), seed=3))
    one, other = (fold_rows(each, fold, 2, validation_fraction=0.2, seed=3) for each in (grades, classes))
    np.testing.assert_array_equal(one.validation, other.validation)


@quick
@given(
    counts=class_counts(least=12),
    copies=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=3),
    kind=st.sampled_from(["auto", "stratified"]),
    seed=st.integers(0, 99),
)
def test_copies_stay_together_and_the_classes_stay_spread(table_of, counts, copies, kind, seed):
    manifest = table_of([row | {"group": f"{number:03d}"} for number, row in enumerate(rows_of(counts))])
    table = manifest.table
    for one, other in copies:
        table.loc[table["group"] == table["group"][other], "group"] = table["group"][one]
    table["declared_group"] = None
    fold = assign_folds(manifest, Folds(n_splits=3, kind=kind), seed=seed)
    assert (pd.Series(fold).groupby(table["group"]).nunique() == 1).all()
    for index, label in enumerate(manifest.classes):
        per_fold = np.bincount(fold[manifest.y == index], minlength=3)
        assert per_fold.min() > 0
        assert (np.abs(per_fold - counts[label] / 3) <= 1 + 2 * len(copies)).all()


def test_ready_made_folds_are_numbered_by_their_sorted_names(table_of):
    rows = [{"label": "ab"[number % 2], "fold": f"fold_{number % 6 // 2 + 1:02d}"} for number in range(24)]
    manifest = table_of(rows)
    fold = assign_folds(manifest, Folds(n_splits=5), seed=0)
    assert [f"fold_{number + 1:02d}" for number in fold] == manifest.table["fold"].tolist()
    own = assign_folds(manifest, Folds(n_splits=4, kind="stratified"), seed=0)
    assert set(own) == {0, 1, 2, 3}


def test_ready_made_folds_that_cannot_work_are_refused(table_of):
    def folds_of(labels, names, groups=None):
        groups = groups or [None] * len(labels)
        rows = [{"label": x, "fold": y, "group": z} for x, y, z in zip(labels, names, groups, strict=True)]
        return assign_folds(table_of(rows), Folds(), seed=0)

    with pytest.raises(InputError, match="one ready-made fold only"):
        folds_of("abab", ["f1"] * 4)
    with pytest.raises(InputError, match="'b' has images in 1 ready-made fold"):
        folds_of("aabb", ["f1", "f2", "f2", "f2"])
    with pytest.raises(InputError, match=r"1 set of images that belong together.*a/00000\.png.*and b/00003\.png"):
        folds_of("abab", ["f1", "f1", "f2", "f2"], ["p", "q", "r", "p"])


def test_kinds_that_the_data_does_not_allow_are_refused(table_of):
    plain = table_of(rows_of({"a": 9, "b": 9}))
    grouped = table_of([{"label": "ab"[number % 2], "group": f"g{number % 7}"} for number in range(40)])
    cases = [(plain, "ready_made"), (plain, "stratified_group"), (plain, "group"), (grouped, "stratified")]
    for manifest, kind in cases:
        with pytest.raises(InputError, match=f"folds.kind is {kind}"):
            assign_folds(manifest, Folds(kind=kind), seed=0)


def test_validation_that_would_take_a_class_away_is_refused(table_of):
    manifest = table_of(rows_of({"a": 2, "b": 2}))
    with pytest.raises(InputError, match="single image"):
        fold_rows(manifest, np.array([0, 1, 0, 1]), 0, validation_fraction=0.2, seed=0)
    rows = [{"label": label, "group": group} for label, group in zip("aabb", "pqpq", strict=True) for _ in range(5)]
    manifest = table_of(rows)
    fold_of_row = (manifest.table["group"] == "q").to_numpy().astype(np.int64)
    with pytest.raises(InputError, match="keep groups whole"):
        fold_rows(manifest, fold_of_row, 0, validation_fraction=0.2, seed=0)
    rows = [{"label": label, "group": group} for label, group in zip("abab", "pqxy", strict=True) for _ in range(5)]
    manifest = table_of(rows)
    fold_of_row = manifest.table["group"].isin(["x", "y"]).to_numpy().astype(np.int64)
    with pytest.raises(InputError, match="leave every class in training"):
        fold_rows(manifest, fold_of_row, 1, validation_fraction=0.2, seed=0)


def test_validation_by_group_avoids_a_group_far_beyond_its_fraction(table_of):
    rows = [{"label": label, "group": f"g{group}"} for group in range(12) for label in "ab" for _ in range(4)]
    rows += [{"label": label, "group": "clinic"} for label in "ab" for _ in range(60)]
    rows += [{"label": label, "group": "tested"} for label in "ab" for _ in range(9)]
    manifest = table_of(rows)
    fold_of_row = (manifest.table["group"] == "tested").to_numpy().astype(np.int64)
    for seed in range(8):
        part = fold_rows(manifest, fold_of_row, 1, validation_fraction=0.2, seed=seed)
        assert "clinic" not in set(manifest.table["group"][part.validation])


def test_folds_that_split_a_group_never_reach_training(table_of):
    rows = [{"label": "ab"[number % 2], "group": f"g{number % 5}"} for number in range(40)]
    with pytest.raises(RuntimeError, match="group"):
        fold_rows(table_of(rows), np.arange(40) // 2 % 4, 0, validation_fraction=0.2, seed=0)


def test_a_group_in_the_folds_and_in_the_holdout_never_reaches_training(table_of):
    rows = [{"label": "ab"[number // 5 % 2], "group": f"g{number % 5}"} for number in range(40)]
    rows.append({"label": "a", "group": "g1", "split": "holdout"})
    manifest = table_of(rows)
    with pytest.raises(Leak, match="holdout"):
        assign_folds(manifest, Folds(n_splits=2), seed=0)
    fold_of_row = manifest.table["group"].isin(["g0", "g1"]).to_numpy().astype(np.int64)
    fold_of_row[manifest.table["split"] == "holdout"] = -1
    with pytest.raises(RuntimeError, match="in holdout: g1"):
        fold_rows(manifest, fold_of_row, 0, validation_fraction=0.3, seed=0)
