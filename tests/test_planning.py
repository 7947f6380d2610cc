from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tasks.config import Experiment, InputError
from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import Targets
from tasks.planning import check_settings, expected_cost, order_of_work, plan_folds

FIVE = ["ncnn", "inceptionv3", "vgg16", "resnet50", "senet50"]


def experiment(**changes):
    return Experiment(name="a", **{"data": {"path": "."}, "backbones": FIVE} | changes)


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


@pytest.mark.parametrize(
    ("kind", "metric", "told"),
    [
        ("multiclass", "quadratic_kappa", "multiclass labels have no metric 'quadratic_kappa'"),
        ("multilabel", "balanced_accuracy", "multilabel labels have no metric 'balanced_accuracy'"),
        ("ordinal", "hamming_loss", "ordinal labels have no metric 'hamming_loss'"),
        ("multilabel", "haming_loss", "there is no metric 'haming_loss'. Did you mean hamming_loss?"),
    ],
)
def test_a_ranking_metric_that_the_kind_of_labels_lacks_is_refused(kind, metric, told):
    data = {"path": ".", "labels": {"kind": kind}}
    with pytest.raises(InputError, match=told.replace("?", r"\?")):
        check_settings(experiment(data=data, evaluation={"metric": metric}))
    check_settings(experiment(data=data))


def test_thresholds_for_other_labels_are_refused_before_any_training():
    data = {"path": ".", "labels": {"kind": "multilabel"}}
    manifest = Manifest(pd.DataFrame(), Path(), Targets(("rust", "scab"), "multilabel"), pd.DataFrame())
    with pytest.raises(InputError, match="names 'rot', which is no label of the data and leaves out 'rust'"):
        plan_folds(experiment(data=data, evaluation={"thresholds": {"rot": 0.3, "scab": 0.4}}), manifest)
