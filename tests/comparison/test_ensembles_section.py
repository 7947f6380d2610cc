"""Ensembles held against the best backbone: the same tests as everywhere, and images that had no say in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss

from tasks.comparison.ensembling.compared import best_ensemble, compare_ensembles
from tasks.comparison.ensembling.section import ensembles_section
from tasks.comparison.evidence import Evidence
from tasks.comparison.pooling import predictions_of
from tasks.comparison.statistics.paired import compare_models
from tasks.comparison.statistics.pairing import pair_predictions
from tests.support.made_evidence import made_evidence

FIVE = {"vgg16": 1.0, "resnet50": 1.0, "senet50": 1.0, "inceptionv3": 1.0, "ncnn": 1.0}
DRAWS = {"n_draws": 1000}


def probabilities(evidence, name):
    return predictions_of(evidence.tables[name], evidence.plan.manifest.targets)


def test_the_mean_of_all_is_scored_as_the_mean_of_the_probabilities(tmp_path):
    evidence = made_evidence(tmp_path, FIVE, noise=1.5, **DRAWS)
    found = compare_ensembles(evidence)
    mean = np.mean([probabilities(evidence, name).y_prob for name in evidence.tables], axis=0)
    y = probabilities(evidence, found.best).y_true
    scores = found.ensembles[0].scores
    assert found.ensembles[0].name == "all"
    assert scores["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(y, mean.argmax(axis=1)))
    assert scores["log_loss"].value == pytest.approx(log_loss(y, mean))
    assert found.best == next(iter(evidence.tables))


def test_each_difference_is_the_primary_tests_and_holm_counts_all_of_them(tmp_path):
    evidence = made_evidence(tmp_path, FIVE, noise=1.5, group_size=4, **DRAWS)
    found = compare_ensembles(evidence)
    tables = {"greedy": found.greedy.table, found.best: evidence.tables[found.best]}
    paired = pair_predictions(tables, evidence.plan.manifest.targets, evidence.groups)
    expected = compare_models(paired, ["balanced_accuracy", "log_loss"], n_draws=1000, seed=0).differences
    own = found.ensembles[1].differences
    for difference in expected:
        assert replace(own[difference.metric], p_holm=None) == replace(difference, p_holm=None)
    raw = sorted(one.p for ensemble in found.ensembles for one in ensemble.differences.values())
    corrected = sorted(one.p_holm for ensemble in found.ensembles for one in ensemble.differences.values())
    assert len(raw) == 4
    assert corrected[0] == pytest.approx(min(1, 4 * raw[0]))
    assert corrected[-1] >= raw[-1]


def test_backbones_whose_errors_are_their_own_make_an_ensemble_that_is_told_apart(tmp_path):
    evidence = made_evidence(tmp_path, FIVE, noise=2.5, n=600, spread=4.0, n_holdout=90, **DRAWS)
    weights, gain = best_ensemble(evidence)
    assert gain.metric == "balanced_accuracy"
    assert gain.better() == gain.first
    assert gain.low > 0
    assert len(weights) > 1
    assert min(weights.values()) > 0
    section = ensembles_section(evidence)
    assert section.sentences[0].startswith("An ensemble does better than ")
    holdout = next(table for table in section.tables if table.name == "holdout_ensembles").frame
    assert set(holdout["model"]) == {*FIVE, "mean of all", "greedy selection"}
    assert (holdout["low"] < holdout["score"]).all()
    for name in FIVE:
        row = holdout[(holdout["model"] == name) & (holdout["metric"] == "balanced_accuracy")].iloc[0]
        assert row["score"] == pytest.approx(evidence.results[name].holdout["balanced_accuracy"])
    assert section.metrics["ensemble_all/oof/balanced_accuracy"] > 0.5


def test_backbones_that_are_one_and_the_same_are_not_told_apart(tmp_path):
    evidence = made_evidence(tmp_path, {"vgg16": 1.0, "resnet50": 1.0}, noise=0.0, **DRAWS)
    assert best_ensemble(evidence) is None
    section = ensembles_section(evidence)
    assert section.sentences[0].startswith("No ensemble is told apart as better than")
    differences = [one.differences["log_loss"].difference for one in compare_ensembles(evidence).ensembles]
    assert differences == pytest.approx([0, 0])


def test_nothing_is_claimed_from_few_groups(tmp_path):
    evidence = made_evidence(tmp_path, FIVE, noise=2.5, n=240, spread=4.0, group_size=20, **DRAWS)
    assert best_ensemble(evidence) is None
    section = ensembles_section(evidence)
    assert "cannot be told. The images come from 12 groups" in section.sentences[0]
    assert not any(" p " in sentence for sentence in section.sentences)
    assert section.tables[0].frame["p_holm"].isna().all()


def test_one_backbone_has_no_ensemble_but_a_holdout(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    alone = made_evidence(tmp_path / "a", {"vgg16": 1.0}, **DRAWS)
    assert ensembles_section(alone) is None
    assert best_ensemble(alone) is None
    held = ensembles_section(made_evidence(tmp_path / "b", {"vgg16": 1.0}, n_holdout=40, **DRAWS))
    assert [table.name for table in held.tables] == ["holdout_ensembles"]
    assert held.sentences[0].startswith("On the 40 images of the holdout the folds of vgg16 together have 0.")


def test_with_one_fold_in_common_nothing_is_chosen_by_what_it_is_scored_on(tmp_path):
    evidence = made_evidence(tmp_path, {"vgg16": 1.0, "ncnn": 1.0}, missing={"vgg16": [1, 2]}, n_holdout=30, **DRAWS)
    found = compare_ensembles(evidence)
    assert [own.name for own in found.ensembles] == ["all"]
    assert found.greedy is None
    section = ensembles_section(evidence)
    assert "ensemble_weights" not in {table.name for table in section.tables}
    held = next(table for table in section.tables if table.name == "holdout_ensembles").frame
    assert set(held["model"]) == {"ncnn"}


def test_a_holdout_of_one_group_has_a_score_and_no_interval(tmp_path):
    made = made_evidence(tmp_path, {"vgg16": 1.0, "ncnn": 1.0}, n=90, n_holdout=3, group_size=3, **DRAWS)
    section = ensembles_section(made)
    assert section.sentences[-1].endswith("in balanced accuracy (no interval).")
    assert section.tables[-1].frame["low"].isna().all()


def test_it_can_be_turned_off(tmp_path):
    assert ensembles_section(made_evidence(tmp_path, FIVE, ensembles=False)) is None


@pytest.mark.parametrize(("kind", "classes"), [("multilabel", ("rust", "scab")), ("ordinal", ("0", "1", "2"))])
def test_other_labels_and_repeats(tmp_path, kind, classes):
    evidence = made_evidence(tmp_path, {"vgg16": 1.0, "ncnn": 2.0}, kind=kind, classes=classes, n_repeats=2, **DRAWS)
    section = ensembles_section(evidence)
    assert {row["chosen_on"] for row in section.tables[1].frame.to_dict("records")} == {
        "all images",
        *(f"all but fold {fold}" for fold in range(3)),
    }
    assert section.tables[0].frame["score"].notna().all()


def test_no_finished_fold_is_nothing_to_tell(tmp_path):
    evidence = made_evidence(tmp_path, {"vgg16": 1.0}, **DRAWS)
    assert ensembles_section(Evidence(evidence.plan, {}, evidence.fetch)) is None
