from __future__ import annotations

import re
from math import ceil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.config import Folds, InputError
from tasks.dataset.folds.assignment import assign_folds
from tasks.dataset.folds.iterative import deal, unit_counts
from tasks.dataset.targets import Targets

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

LEAVES = Targets(("scab", "rust", "complex"), "multilabel", " ", "healthy")


@pytest.fixture
def leaves(table_of):
    """Make a manifest of a matrix of labels, 0 or 1, and of groups."""

    def make(y, groups=None):
        groups = [None] * len(y) if groups is None else [f"g{group}" for group in groups]
        texts = LEAVES.texts(np.array(y))
        rows = [
            {"label": text, "group": group, "path": f"{number:04d}.png"}
            for number, (text, group) in enumerate(zip(texts, groups, strict=True))
        ]
        return table_of(rows, targets=LEAVES)

    return make


@st.composite
def label_rows(draw, least=6):
    """Images with any labels, among them enough with each label alone."""
    y = draw(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), max_size=40))
    return y + [[int(place == label) for place in range(3)] for label in range(3) for _ in range(least)]


def per_fold(y, fold, k):
    return np.array([np.array(y)[fold == number].sum(axis=0) for number in range(k)])


@quick
@given(y=label_rows(), k=st.integers(2, 6), seed=st.integers(0, 2**32 - 1))
def test_folds_partition_the_images_and_each_holds_every_label(leaves, y, k, seed):
    fold = assign_folds(leaves(y), Folds(n_splits=k), seed=seed)
    assert fold.shape == (len(y),)
    assert set(fold) == set(range(k))
    assert per_fold(y, fold, k).min() >= 1
    none = np.bincount(fold[~np.array(y).any(axis=1)], minlength=k)
    assert none.max() - none.min() <= 1


@quick
@given(y=label_rows(least=1), k=st.integers(2, 6), seed=st.integers(0, 2**32 - 1))
def test_no_fold_has_more_of_a_label_than_its_share_but_for_what_comes_with_other_labels(y, k, seed):
    members = np.array(y, dtype=bool)
    counts = unit_counts(np.arange(len(y)), members)
    fold = deal(counts, np.ones(len(y), dtype=np.int64), [1] * k, seed)
    several = members.sum(axis=1) > 1
    for label in range(3):
        for number in range(k):
            own = members[:, label] & (fold == number)
            assert own.sum() <= max(ceil(members[:, label].sum() / k), (own & several).sum())


def test_large_groups_are_dealt_out_before_small_ones():
    counts = np.array([[6, 0], *[[1, 0]] * 6])
    for seed in range(10):
        part = deal(counts, counts.sum(axis=1), [1, 1], seed)
        assert np.bincount(part, weights=counts[:, 0]).tolist() == [6, 6]


@quick
@given(seed=st.integers(0, 999), shares=st.sampled_from([(1, 1), (4, 1), (7, 2, 1)]))
def test_a_label_that_stands_alone_is_shared_out_in_proportion(seed, shares):
    members = np.repeat(np.eye(3, dtype=bool), [40, 13, 7], axis=0)
    part = deal(unit_counts(np.arange(60), members), np.ones(60, dtype=np.int64), shares, seed)
    for label, count in enumerate((40, 13, 7)):
        for number, share in enumerate(shares):
            assert abs((members[:, label] & (part == number)).sum() - count * share / sum(shares)) <= 1


@pytest.mark.parametrize("per_group", [None, 3])
def test_labels_are_spread_better_than_by_chance(leaves, per_group):
    random = np.random.default_rng(5)
    y = (random.random((400, 3)) < [0.3, 0.12, 0.05]).astype(int)
    groups = None if per_group is None else np.arange(400) // per_group

    def unevenness(fold):
        return np.abs(per_fold(y, fold, 5) - y.sum(axis=0) / 5).max()

    ours = [unevenness(assign_folds(leaves(y, groups), Folds(), seed=seed)) for seed in range(5)]
    chance = [unevenness(random.permutation(400) % 5) for _ in range(20)]
    assert max(ours) < 1.5
    assert min(chance) > 1.5


@st.composite
def grouped_labels(draw):
    """Labels and groups, at least five groups with each label alone."""
    y, groups = [], []
    for number in range(draw(st.integers(15, 24))):
        label = [int(place == number % 3) for place in range(3)]
        more = draw(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), max_size=4))
        y += [label, *more]
        groups += [number] * (1 + len(more))
    return y, groups


@quick
@given(data=grouped_labels(), k=st.integers(2, 5), seed=st.integers(0, 999))
def test_groups_stay_whole_and_every_fold_holds_every_label(leaves, data, k, seed):
    y, groups = data
    fold = assign_folds(leaves(y, groups), Folds(n_splits=k), seed=seed)
    assert all(len(set(fold[np.array(groups) == group])) == 1 for group in groups)
    assert per_fold(y, fold, k).min() >= 1


@quick
@given(data=grouped_labels(), grouped=st.booleans(), seed=st.integers(0, 999), shuffle=st.randoms())
def test_the_order_of_the_rows_changes_nothing(leaves, data, grouped, seed, shuffle):
    y, groups = data
    manifest = leaves(y, groups if grouped else None)
    order = list(range(len(y)))
    shuffle.shuffle(order)
    table = manifest.table.iloc[order].reset_index(drop=True)
    mixed = type(manifest)(table, manifest.root, manifest.targets, manifest.rejected)
    fold = assign_folds(manifest, Folds(n_splits=3, n_repeats=2), seed=seed)
    np.testing.assert_array_equal(assign_folds(mixed, Folds(n_splits=3, n_repeats=2), seed=seed), fold[order])


def test_seeds_decide(leaves):
    y = np.random.default_rng(0).integers(0, 2, (60, 3))
    first, again, other = (assign_folds(leaves(y), Folds(), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("grouped", [False, True])
def test_a_label_with_too_few_images_or_groups_is_named_with_what_works(leaves, grouped):
    y = [[1, 0, 0]] * 9 + [[1, 1, 0]] * 3 + [[0, 0, 1]] * 8
    manifest = leaves(y, range(20) if grouped else None)
    what = "images of 3 groups" if grouped else "3 images"
    with pytest.raises(InputError, match=f"label 'rust' has {what}.*5 folds.*is 3\\."):
        assign_folds(manifest, Folds(), seed=0)
    assert per_fold(y, assign_folds(manifest, Folds(n_splits=3), seed=0), 3).min() == 1


def test_folds_are_found_where_an_image_must_serve_two_labels(leaves):
    # Three images have rust and three complex; two of the former have both, and scab is everywhere.
    y = [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1], [1, 0, 0]]
    for seed in range(20):
        assert per_fold(y, assign_folds(leaves(y), Folds(n_splits=3), seed=seed), 3).min() == 1


def test_labels_that_leave_too_few_images_for_each_other_are_refused_with_what_works(leaves):
    # Any two images share a label's whole stock, so each of two folds needs one of every pair.
    y = [[1, 1, 0], [0, 1, 1], [1, 0, 1]]
    with pytest.raises(InputError, match="too many labels stand on the same images"):
        assign_folds(leaves(y), Folds(n_splits=2), seed=0)
    y += [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(InputError, match="each hold every label") as caught:
        assign_folds(leaves(y), Folds(n_splits=4), seed=0)
    offered = int(re.search(r"works here is (\d)", str(caught.value))[1])
    assert offered == 3
    assert per_fold(y, assign_folds(leaves(y), Folds(n_splits=3), seed=0), 3).min() == 1


def test_ready_made_folds_need_each_label_in_two(leaves):
    y = [[1, 0, 1], [1, 1, 0], [0, 1, 0], [0, 1, 0]]
    manifest = leaves(y)
    manifest.table["fold"] = ["f1", "f2", "f1", "f2"]
    with pytest.raises(InputError, match="label 'complex' has images in 1 ready-made fold only"):
        assign_folds(manifest, Folds(), seed=0)
