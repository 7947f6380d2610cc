from __future__ import annotations

import pytest

from tasks.config import InputError
from tasks.tracking.lookup import newest_experiment
from tasks.tracking.runs import Runs


def record(client, name, *, metric="accuracy", status="completed"):
    """Log an experiment run with two backbones."""
    found = client.get_experiment_by_name(name)
    runs = Runs(client, found.experiment_id if found else client.create_experiment(name))
    whole = runs.start("experiment", name, parent=None, tags={"foldcam.data_digest": "d1"})
    client.log_param(whole, "evaluation.metric", metric)
    client.log_param(whole, "n_folds", 5)
    for backbone, accuracy in (("vgg16", 0.5), ("ncnn", 0.9)):
        own = runs.start("backbone", backbone, parent=whole, tags={"foldcam.backbone": backbone})
        values = {
            "folds_finished": 4,
            "cv/accuracy_mean": accuracy,
            "cv/accuracy_std": 0.1,
            "cv/accuracy_ci_low": accuracy - 0.1,
            "cv/accuracy_ci_high": accuracy + 0.1,
            "cv/f1/a_mean_b_mean": 0.3,
            "oof/accuracy": accuracy - 0.01,
            "oof/accuracy_ci_low": accuracy - 0.05,
            "oof/accuracy_ci_high": accuracy + 0.05,
            "oof/recall/a_ci_low": 0.25,
            "holdout/accuracy": accuracy - 0.02,
        }
        for key, value in values.items():
            client.log_metric(own, key, value)
        runs.end(own, "completed")
        runs.end(runs.start("fold", f"{backbone}/0", parent=own, tags={}), "completed")
    runs.end(whole, status)
    return whole


def test_an_experiment_is_read_back_from_its_runs(client):
    run_id = record(client, "große Studie", status="partial")
    found = newest_experiment(client, "große Studie")
    assert (found.name, found.run_id, found.status) == ("große Studie", run_id, "partial")
    assert (found.data_digest, found.metric, found.n_folds) == ("d1", "accuracy", 5)
    assert list(found.backbones) == ["vgg16", "ncnn"]
    own = found.backbones["ncnn"]
    assert (own.status, own.folds_finished) == ("completed", 4)
    assert own.cv["accuracy"] == pytest.approx({"mean": 0.9, "std": 0.1, "ci_low": 0.8, "ci_high": 1.0})
    assert own.cv["f1/a_mean_b"] == {"mean": 0.3}
    assert own.oof == {"accuracy": pytest.approx(0.89), "recall/a_ci_low": 0.25}
    assert own.oof_intervals == {"accuracy": pytest.approx({"ci_low": 0.85, "ci_high": 0.95})}
    assert own.holdout == {"accuracy": pytest.approx(0.88)}


def test_the_newest_run_counts_of_one_experiment_or_of_all(client):
    record(client, "one")
    newest_of_one = record(client, "one")
    two = record(client, "two")
    assert newest_experiment(client, "one").run_id == newest_of_one
    assert newest_experiment(client, None).run_id == two
    client.delete_run(newest_of_one)
    client.delete_run(two)
    assert newest_experiment(client, None).name == "one"


def test_a_name_that_is_not_there_is_told_with_the_nearest_and_all_that_are(client):
    record(client, "leaves")
    record(client, "faces")
    client.create_experiment("empty")
    with pytest.raises(InputError) as caught:
        newest_experiment(client, "facse")
    text = str(caught.value)
    assert "no experiment 'facse'" in text
    assert "Did you mean faces?" in text
    assert text.endswith("It has: faces, leaves.")
    with pytest.raises(InputError, match=r"no experiment 'empty'\..* It has: faces, leaves\."):
        newest_experiment(client, "empty")


def test_an_empty_store_says_how_to_begin(client):
    for name in (None, "faces"):
        with pytest.raises(InputError, match="foldcam run FILE"):
            newest_experiment(client, name)


def test_a_run_id_stands_for_its_experiment_run_and_no_other_run(client):
    older = record(client, "one")
    record(client, "one")
    assert newest_experiment(client, older).run_id == older
    backbone = newest_experiment(client, older).backbones["ncnn"].run_id
    with pytest.raises(InputError, match=f"of level 'backbone'; the run above it is {older}"):
        newest_experiment(client, backbone)
    foreign = client.create_run(client.create_experiment("foreign")).info.run_id
    with pytest.raises(InputError, match="not one of foldcam's"):
        newest_experiment(client, foreign)
    client.delete_run(older)
    with pytest.raises(InputError, match="no experiment"):
        newest_experiment(client, older)
