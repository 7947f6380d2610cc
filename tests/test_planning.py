from __future__ import annotations

import pytest

from tasks.config import Experiment
from tasks.planning import expected_cost, order_of_work

FIVE = ["ncnn", "inceptionv3", "vgg16", "resnet50", "senet50"]


def experiment(**changes):
    return Experiment(name="a", data={"path": "."}, **{"backbones": FIVE} | changes)


def cells(names, folds=3):
    return [(name, fold) for name in names for fold in range(folds)]


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_every_fold_run_is_begun_once_and_the_costly_backbones_first(workers):
    ordered = order_of_work(experiment(), cells(FIVE), workers)
    assert sorted(ordered) == sorted(cells(FIVE))
    first_met = list(dict.fromkeys(name for name, _ in ordered))
    costs = [expected_cost(experiment(), name) for name in first_met]
    assert costs == sorted(costs, reverse=True)
    assert first_met[-1] == "ncnn"


def test_as_many_backbones_stand_side_by_side_as_there_are_workers():
    ordered = order_of_work(experiment(), cells(FIVE), 2)
    assert [name for name, _ in ordered[:6]] == ["vgg16", "inceptionv3"] * 3
    assert [fold for _, fold in ordered[:6]] == [0, 0, 1, 1, 2, 2]
    assert [name for name, _ in ordered[12:]] == ["ncnn"] * 3


def test_one_worker_does_a_backbone_after_the_other():
    assert order_of_work(experiment(), cells(["ncnn", "vgg16"]), 1) == cells(["vgg16", "ncnn"])


def test_training_the_whole_network_or_changing_images_anew_costs_more():
    costs = [
        expected_cost(experiment(model={"freeze": freeze}), "resnet50") for freeze in ("base", "last_block", "none")
    ]
    assert costs == sorted(costs)
    assert len(set(costs)) == 3
    online = experiment(training={"augmentation": {"rotation": 5}})
    cached = experiment(training={"augmentation": {"rotation": 5, "mode": "cached"}})
    assert expected_cost(online, "resnet50") > expected_cost(cached, "resnet50")
