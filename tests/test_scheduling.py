from __future__ import annotations

import pytest

from tasks.planning import order_of_work
from tests.benchmarks.scheduling import draw, experiment, simulate

BACKBONES = ("vgg16", "resnet50", "senet50", "inceptionv3", "ncnn")


def cells(folds):
    return [(backbone, fold) for backbone in BACKBONES for fold in range(folds)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_thousand_fold_runs_leave_less_than_a_twentieth_of_64_gpus_idle(seed):
    order = order_of_work(experiment(), cells(200), 64)
    assert sorted(order) == sorted(cells(200))
    assert simulate(order, draw(order, seed), 64, seed).idle < 0.05


def test_the_longest_at_the_end_would_leave_more_of_them_idle():
    order = order_of_work(experiment(), cells(200), 64)
    seconds = draw(order, 0)
    assert simulate(list(reversed(order)), seconds, 64, 0).idle > 0.05 > simulate(order, seconds, 64, 0).idle


def test_one_place_is_never_idle():
    order = order_of_work(experiment(), cells(2), 1)
    seconds = draw(order, 0)
    found = simulate(order, seconds, 1, 0)
    assert found.idle == pytest.approx(0, abs=1e-12)
    assert found.hours * 3600 > sum(seconds.values())


def test_equal_fold_runs_that_fill_the_places_evenly_leave_idle_what_waits_for_the_preparation():
    order = [("ncnn", fold) for fold in range(8)]
    found = simulate(order, dict.fromkeys(order, 100.0), 4, 0)
    assert found.hours * 3600 == pytest.approx(30 + 200)
    assert found.idle == pytest.approx(1 - (30 + 800) / (4 * 230))
