from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tasks.config import InputError
from tasks.dataset.folds.assignment import fold_rows
from tasks.dataset.targets import Targets

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TARGETS = Targets(("a", "b", "c"), "multilabel", " ", "none")


@pytest.fixture
def drawn(table_of):
    """Give the rows of a fold run that tests one image with every label, and the manifest without it."""

    def draw(y, fraction, seed=0, groups=None):
        groups = [None] * len(y) if groups is None else [f"g{group}" for group in groups]
        rows = [
            {"label": text, "group": group, "path": f"{number:04d}.png"}
            for number, (text, group) in enumerate(zip(TARGETS.texts(np.array(y)), groups, strict=True))
        ]
        manifest = table_of([*rows, {"label": "a b c", "path": "tested.png"}], targets=TARGETS)
        fold_of_row = np.append(np.ones(len(y), dtype=np.int64), 0)
        return fold_rows(manifest, fold_of_row, 0, validation_fraction=fraction, seed=seed), manifest

    return draw


matrices = st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=8, max_size=50)


@quick
@given(y=matrices, fraction=st.floats(0.01, 0.89), seed=st.integers(0, 999), per_group=st.sampled_from([None, 2, 3]))
def test_every_label_stays_in_training_and_groups_stay_whole(drawn, y, fraction, seed, per_group):
    groups = None if per_group is None else np.arange(len(y)) // per_group
    try:
        rows, manifest = drawn(y, fraction, seed, groups)
    except InputError:
        n_units = len(y) if groups is None else len(set(groups))
        assume(n_units > 4)
        raise
    assert sorted([*rows.train, *rows.validation]) == list(range(len(y)))
    assert len(rows.validation)
    there = np.array(y).any(axis=0)
    assert (manifest.y[rows.train].any(axis=0) == there).all()
    if groups is not None:
        assert not set(groups[rows.train]) & set(groups[rows.validation])


def test_each_label_gives_its_share(drawn):
    y = (np.random.default_rng(1).random((500, 3)) < [0.4, 0.1, 0.04]).astype(int)
    for fraction in (0.1, 0.2, 0.5, 0.7):
        rows, manifest = drawn(y, fraction)
        share = manifest.y[rows.validation].sum(axis=0) / y.sum(axis=0)
        np.testing.assert_allclose(share, fraction, atol=1.5 / y.sum(axis=0).min())
        assert len(rows.validation) / 500 == pytest.approx(fraction, abs=0.01)


def test_a_rare_label_is_in_validation_too(drawn):
    y = [[1, 0, 0]] * 60 + [[0, 1, 0]] * 2 + [[1, 0, 1]] * 2
    for seed in range(10):
        rows, manifest = drawn(y, 0.1, seed)
        assert manifest.y[rows.validation].any(axis=0).all()
        assert manifest.y[rows.train].any(axis=0).all()


def test_seed_and_fold_decide(drawn):
    y = np.random.default_rng(1).integers(0, 2, (60, 3))
    one, again, other = (drawn(y, 0.2, seed)[0].validation.tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_labels_of_one_image_each_are_refused(drawn):
    with pytest.raises(InputError, match="leave every class in training"):
        drawn(np.eye(3, dtype=int), 0.3)


def test_copies_stay_on_one_side_and_each_class_gives_its_share(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"{number:03d}.png"} for number in range(104)]
    manifest = table_of(rows)
    manifest.table["group"] = [f"{max(number - number % 13 // 12, 0):03d}" for number in range(104)]
    fold_of_row = np.repeat([0, 1, 2, 3], 26)
    for seed in range(5):
        part = fold_rows(manifest, fold_of_row, 1, validation_fraction=0.2, seed=seed)
        counts = np.bincount(manifest.y[part.validation], minlength=2)
        assert np.abs(counts - 0.2 * 39).max() <= 1.5


def test_a_pair_of_copies_does_not_make_the_share_coarse(table_of):
    manifest = table_of([{"label": "ab"[number % 2], "path": f"{number:03d}.png"} for number in range(200)])
    manifest.table["group"] = [f"{max(number, 1):03d}" for number in range(200)]
    part = fold_rows(manifest, np.arange(200) // 100, 1, validation_fraction=0.04, seed=0)
    assert np.bincount(manifest.y[part.validation]).tolist() == [2, 2]
