from __future__ import annotations

import numpy as np
import pytest

from tasks.comparison.errors.confident_learning import (
    class_thresholds,
    confident_joint,
    expected_counts,
    normalised_margin,
    self_confidence,
    suspects,
)


def noisy(n=1000, n_classes=4, share=0.1, spread=1.0, seed=0):
    """Classes at the corners of a cube, some labels swapped: true labels, given ones and the ideal probabilities."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, n_classes, n)
    features = 2.5 * np.eye(n_classes)[truth] + random.normal(0, spread, (n, n_classes))
    odds = np.exp(2.5 * features / spread**2)
    swapped = random.random(n) < share
    given = np.where(swapped, (truth + random.integers(1, n_classes, n)) % n_classes, truth)
    return truth, given, odds / odds.sum(axis=1, keepdims=True)


def joint_by_the_book(given, prob):
    """Equations 1 and 2, a line each."""
    n_classes = prob.shape[1]
    t = [np.mean([p[j] for y, p in zip(given, prob, strict=True) if y == j]) for j in range(n_classes)]
    joint = np.zeros((n_classes, n_classes), dtype=int)
    for y, p in zip(given, prob, strict=True):
        reached = [j for j in range(n_classes) if p[j] >= t[j]]
        if reached:
            joint[y, max(reached, key=lambda j: p[j])] += 1
    return joint


def test_thresholds_and_joint_of_six_images_by_hand():
    given = np.array([0, 0, 0, 1, 1, 1])
    prob = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.7, 0.3]])
    np.testing.assert_allclose(class_thresholds(given, prob), [0.6, 0.6])
    assert confident_joint(given, prob).tolist() == [[2, 1], [1, 2]]
    assert np.flatnonzero(suspects(given, prob)).tolist() == [2, 5]
    np.testing.assert_allclose(self_confidence(given, prob), [0.9, 0.8, 0.1, 0.7, 0.8, 0.3])
    np.testing.assert_allclose(normalised_margin(given, prob), [0.8, 0.6, -0.8, 0.4, 0.6, -0.4])


@pytest.mark.parametrize("seed", range(5))
def test_the_joint_is_that_of_the_equations_with_collisions_and_without(seed):
    _, given, prob = noisy(200, 5, 0.3, 2.0, seed)
    thresholds = class_thresholds(given, prob)
    n_reached = (prob >= thresholds).sum(axis=1)
    assert (n_reached == 0).any()
    assert (n_reached > 1).any()
    np.testing.assert_array_equal(confident_joint(given, prob), joint_by_the_book(given, prob))


def test_a_collision_goes_to_the_likeliest_class_that_is_reached_and_not_to_the_likeliest_of_all():
    prob = np.array([[0.98, 0.01, 0.01], [0.5, 0.3, 0.2], [0.3, 0.4, 0.3], [0.2, 0.4, 0.4], [0.5, 0.28, 0.22]])
    given = np.array([0, 1, 1, 2, 2])
    assert class_thresholds(given, prob).tolist() == pytest.approx([0.98, 0.35, 0.31])
    assert confident_joint(given, prob).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_the_counts_are_whole_sum_to_the_classes_and_are_within_one_of_equation_three(seed):
    _, given, prob = noisy(300, 5, 0.3, 2.0, seed)
    joint, n_given = confident_joint(given, prob), np.bincount(given, minlength=5)
    counts = expected_counts(joint, n_given)
    np.testing.assert_array_equal(counts.sum(axis=1), n_given)
    exact = [[joint[i, j] / joint[i].sum() * n_given[i] for j in range(5)] for i in range(5)]
    assert np.abs(counts - exact).max() < 1
    assert (counts >= 0).all()


def test_a_class_without_confident_or_without_any_images_is_taken_to_be_right():
    joint, n_given = np.array([[5, 1, 0], [0, 0, 0], [0, 0, 0]]), np.array([12, 4, 0])
    assert expected_counts(joint, n_given).tolist() == [[10, 2, 0], [0, 4, 0], [0, 0, 0]]
    prob = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    assert class_thresholds(np.array([0, 1]), prob).tolist() == [0.9, 0.8, np.inf]
    assert not suspects(np.array([0, 1]), prob).any()


@pytest.mark.parametrize("n", [3, 7, 1000])
def test_images_that_all_look_alike_are_no_suspects(n):
    prob = np.full((n, 3), 0.1) + np.array([0.0, 0.6, 0.1])
    assert not suspects(np.ones(n, dtype=int), prob / prob.sum(axis=1, keepdims=True)).any()


def test_the_rules_pick_as_many_as_are_expected_and_both_picks_what_both_pick():
    _, given, prob = noisy(600, 4, 0.2, 1.6)
    counts = expected_counts(confident_joint(given, prob), np.bincount(given))
    by_class, by_rate, both = (suspects(given, prob, rule) for rule in ("by_class", "by_noise_rate", "both"))
    for number in range(4):
        rows = given == number
        n_wrong = counts[number].sum() - counts[number, number]
        assert by_class[rows].sum() == n_wrong > 0
        assert prob[rows & by_class, number].max() <= prob[rows & ~by_class, number].min()
        for other in set(range(4)) - {number}:
            ahead = np.sort((prob[:, other] - prob[:, number])[rows])[::-1]
            chosen = rows & (prob[:, other] - prob[:, number] >= ahead[max(counts[number, other] - 1, 0)])
            assert counts[number, other] == 0 or by_rate[chosen].all()
        assert by_rate[rows].sum() <= n_wrong
    np.testing.assert_array_equal(both, by_class & by_rate)


def test_the_order_of_images_and_of_classes_changes_nothing():
    _, given, prob = noisy(400, 4, 0.2)
    random = np.random.default_rng(1)
    images, classes = random.permutation(400), random.permutation(4)
    again = suspects(np.argsort(classes)[given][images], prob[:, classes][images])
    np.testing.assert_array_equal(again, suspects(given, prob)[images])


@pytest.mark.parametrize(
    ("spread", "rule", "recall", "precision"),
    [
        (0.6, "by_class", 0.99, 0.995),
        (0.6, "by_noise_rate", 0.99, 0.995),
        (0.6, "both", 0.98, 1.0),
        (0.8, "by_class", 0.97, 0.88),
        (0.8, "both", 0.94, 0.88),
        (1.0, "both", 0.92, 0.73),
    ],
)
def test_planted_errors_are_found_as_surely_as_the_classes_can_be_told_apart(spread, rule, recall, precision):
    """2,000 images with one label in ten swapped, of which the best model gets 99.6, 95.9 or 88.6 % right."""
    truth, given, prob = noisy(2000, 5, 0.1, spread)
    wrong, found = given != truth, suspects(given, prob, rule)
    assert (wrong & found).sum() / wrong.sum() == pytest.approx(recall, abs=0.01)
    assert (wrong & found).sum() / found.sum() == pytest.approx(precision, abs=0.01)


def test_noise_between_two_classes_only_is_told_as_such():
    random = np.random.default_rng(3)
    truth, given, prob = noisy(3000, 3, 0.0, 0.7)
    given = np.where((truth == 1) & (random.random(3000) < 0.2), 2, given)
    counts = expected_counts(confident_joint(given, prob), np.bincount(given))
    planted = int(((truth == 1) & (given == 2)).sum())
    assert counts[2, 1] == pytest.approx(planted, rel=0.15)
    assert counts[np.eye(3) == 0].sum() - counts[2, 1] < 0.15 * planted
