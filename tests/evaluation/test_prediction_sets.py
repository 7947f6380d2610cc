from __future__ import annotations

import numpy as np
import pytest

from tasks.evaluation.outputs import activated, class_probabilities
from tasks.evaluation.prediction_sets import packed, scores_of, sets_of, unpacked

FOLDS = 5


def world(kind, n, n_classes, rng):
    """Give logits whose probabilities are the truth's, and the truth."""
    logits = 1.5 * rng.standard_normal((n, n_classes))
    if kind == "ordinal":
        logits = 2 * rng.standard_normal((n, 1)) + np.linspace(2, -2, n_classes)
    p = class_probabilities(activated(logits, kind), kind)
    if kind == "multilabel":
        return logits, (rng.random(p.shape) < p).astype(int)
    return logits, (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=n_classes - 1)


def seen_by(folds, logits, kind, rng):
    """Give the probabilities of several models, each with noise of its own and too sure of itself."""
    return np.stack(
        [class_probabilities(activated(2 * (logits + rng.normal(0, 0.8, logits.shape)), kind), kind) for _ in folds]
    )


def answered(kind, n=200, n_new=4000, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    logits, y = world(kind, n, n_classes, rng)
    members = seen_by(range(FOLDS), logits, kind, rng)
    scores = [scores_of(members[fold, fold::FOLDS], y[fold::FOLDS], kind) for fold in range(FOLDS)]
    new, truth = world(kind, n_new, n_classes, rng)
    return truth, *sets_of(seen_by(range(FOLDS), new, kind, rng), scores, kind, coverage=0.9)


@pytest.mark.parametrize("kind", ["multiclass", "ordinal"])
def test_sets_hold_the_truth_as_often_as_wanted_though_the_models_are_too_sure(kind):
    rates = []
    for seed in range(5):
        truth, sets, _ = answered(kind, seed=seed)
        rates.append(sets[np.arange(len(truth)), truth].mean())
    assert 0.88 <= np.mean(rates) <= 0.97
    assert 1 < sets.sum(axis=1).mean() < 3.5


def test_of_each_label_that_is_there_nine_of_ten_are_in_the_set():
    truth, sets, open_ = answered("multilabel", n=400)
    for label in range(truth.shape[1]):
        there = truth[:, label] == 1
        assert 0.86 <= sets[there, label].mean() <= 0.97
        assert sets[~there, label].mean() < 0.75
    assert 0 < open_.mean() < 1


def test_sets_of_grades_have_no_gap():
    _, sets, _ = answered("ordinal", n_classes=5)
    for own in sets[sets.any(axis=1)]:
        assert np.ptp(np.flatnonzero(own)) == own.sum() - 1


def test_a_case_counted_by_hand():
    # Nine images in three folds; a class stays while fewer than 0.9 · 10 = 9 of them are less strange.
    scores = [[np.array([0.1, 0.2, 0.3])], [np.array([0.1, 0.2, 0.3])], [np.array([0.1, 0.2, 0.3])]]
    members = 1 - np.array([[[0.30, 0.31, 0.9]]] * 2 + [[[0.30, 0.31, 0.25]]])
    sets, open_ = sets_of(members, scores, "multiclass", coverage=0.9)
    # 0.30 is beaten by 2 of 3 in each fold: 6; 0.31 by all nine; the last one by 3 + 3 + 2.
    assert sets.tolist() == [[True, False, True]]
    assert open_.tolist() == [True]


def test_fewer_images_than_nine_exclude_nothing():
    scores = [scores_of(np.array([[0.9, 0.1]] * 4), np.zeros(4, int), "multiclass") for _ in range(2)]
    sets, open_ = sets_of(np.array([[[1.0, 0.0]]] * 2), scores, "multiclass", coverage=0.9)
    assert sets.all()
    assert open_.all()


def test_repeats_count_an_image_once():
    rng = np.random.default_rng(0)
    p = rng.dirichlet((1, 1, 1), 30)
    y = p.argmax(axis=1)
    once = [scores_of(p[fold::3], y[fold::3], "multiclass") for fold in range(3)]
    new = rng.dirichlet((1, 1, 1), 50)[None]
    sets, _ = sets_of(np.repeat(new, 3, axis=0), once, "multiclass", coverage=0.9)
    again, _ = sets_of(np.repeat(new, 6, axis=0), once * 2, "multiclass", coverage=0.9, n_repeats=2)
    np.testing.assert_array_equal(sets, again)


def test_scores_come_back_from_a_file_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (24, 3))
    scores = [scores_of(rng.random((24, 3)), y, "multilabel") for _ in range(12)]
    np.savez(tmp_path / "scores.npz", **packed(scores))
    with np.load(tmp_path / "scores.npz") as found:
        back = unpacked(dict(found))
    assert [[own.tolist() for own in fold] for fold in back] == [[own.tolist() for own in fold] for fold in scores]
