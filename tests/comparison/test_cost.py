from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.comparison.costs import Cost, cost_of_folds, pareto_front

few = st.integers(0, 4)


def test_the_front_of_five_backbones_is_the_one_found_by_hand():
    scores, costs = [0.90, 0.95, 0.85, 0.95, 0.50], [10, 40, 20, 60, 5]
    assert pareto_front(scores, costs, higher_is_better=True).tolist() == [True, True, False, False, True]
    losses = [0.10, 0.05, 0.15, 0.05, 0.50]
    assert pareto_front(losses, costs, higher_is_better=False).tolist() == [True, True, False, False, True]


def test_equal_choices_do_not_dominate_each_other():
    assert pareto_front([0.9, 0.9], [3, 3], higher_is_better=True).all()
    assert pareto_front([0.9, 0.9], [3, 2], higher_is_better=True).tolist() == [False, True]
    assert pareto_front([0.9, 0.8], [3, 3], higher_is_better=True).tolist() == [True, False]
    assert pareto_front([], [], higher_is_better=True).tolist() == []


@given(st.lists(st.tuples(few, few), min_size=1, max_size=12))
def test_whoever_is_off_the_front_is_dominated_by_someone_on_it_and_nobody_on_it_is(choices):
    found = pareto_front(*zip(*choices, strict=True), higher_is_better=True)
    front = list(itertools.compress(choices, found))

    def dominated(choice, others):
        return any(s >= choice[0] and c <= choice[1] and (s, c) != choice for s, c in others)

    assert front
    for choice, on_it in zip(choices, found, strict=True):
        assert dominated(choice, choices) != on_it
        assert on_it or dominated(choice, front)


def test_folds_give_the_mean_of_their_seconds_and_the_worst_of_their_memory():
    folds = [
        {"seconds/train": 4.0, "cost/peak_memory_mb": 900.0},
        {"seconds/train": 2.0, "cost/peak_memory_mb": 1200.0},
        {"seconds/train": 3.0},
    ]
    assert cost_of_folds(folds) == {"train_seconds": 3.0, "peak_memory_mb": 1200.0}
    assert cost_of_folds([{"test/accuracy": 0.5}]) == cost_of_folds([]) == {}


def test_milliseconds_are_those_of_an_image_among_thirty_two():
    assert Cost({"images_per_second_32": 250.0}, "", "").milliseconds == pytest.approx(4.0)
    assert Cost({"images_per_second_1": 250.0}, "", "").milliseconds is None
