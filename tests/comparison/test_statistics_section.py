"""The part of a comparison that says which backbone is best: on drawn predictions of all kinds of labels."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.evidence import Evidence
from tasks.comparison.report.section_files import write_table
from tasks.comparison.sections import MAKERS
from tasks.comparison.standings.recorded import COMPARISON, verdict_of
from tasks.comparison.standings.section import statistics_section
from tasks.comparison.standings.standing import OverFolds, stand
from tasks.comparison.standings.told import beliefs
from tasks.comparison.statistics.bayesian import correlated_t
from tasks.comparison.statistics.paired import compare_models
from tasks.comparison.statistics.pairing import pair_predictions
from tasks.comparison.statistics.resampled_t import fold_difference
from tasks.config import Experiment
from tests.support.made_evidence import made_evidence

QUICK = {"n_draws": 1000}
TWINS = {"sure": 1.0, "twin": 1.0}


def section(evidence):
    found = statistics_section(evidence)
    assert found is not None
    return found


def told(evidence):
    return " ".join(section(evidence).sentences)


def table(found, name):
    return next(own for own in found.tables if own.name == name)


def comparison(found):
    return json.loads(found.files[COMPARISON])


def noisy(root, noises, **settings):
    """Give evidence of backbones that differ in how much noise is on what they see: the less, the better."""
    made = {}
    for name, noise in noises.items():
        folder = root / name
        folder.mkdir()
        made[name] = made_evidence(folder, {name: 1.0}, noise=noise, **QUICK, **settings)
    first = next(iter(made.values()))
    results = {name: own.results[name] for name, own in made.items() if name in own.results}

    def fetch(run_id, file):
        return root / run_id.removeprefix("run-").rpartition("-")[0] / run_id / file

    return Evidence(first.plan, results, fetch)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    root = tmp_path_factory.mktemp("three")
    return noisy(root, {"keen": 0.1, "level": 0.25, "blind": 30.0}, group_size=4)


@pytest.fixture(scope="module")
def found(three):
    return section(three)


def test_it_is_told_first():
    assert MAKERS[0] is statistics_section


def test_the_first_sentence_says_who_cannot_be_told_apart_and_who_is_beaten(found):
    answer, ahead, *_ = found.sentences
    assert re.match(
        r"(keen|level) has the highest balanced accuracy on pooled out-of-fold predictions, 0\.\d{3} ", answer
    )
    assert "it cannot be told apart from" in answer
    assert "its lead over blind is beyond chance (adjusted p 0.003)" in answer
    assert ahead.startswith("keen is ahead of level, the next, by 0.")
    assert "95\u00a0% interval" in ahead


def test_the_ranking_has_letters_that_only_those_share_that_cannot_be_told_apart(found):
    ranking = table(found, "ranking").frame.set_index("backbone")
    assert ranking["letters"].to_dict() == {"keen": "a", "level": "a", "blind": "b"}
    assert ranking["balanced_accuracy"].is_monotonic_decreasing
    assert (ranking["balanced_accuracy_low"] < ranking["balanced_accuracy"]).all()
    assert (ranking["log_loss"] < ranking["log_loss_high"]).all()
    assert list(table(found, "ranking").titles)[:4] == [
        "backbone",
        "balanced_accuracy",
        "balanced_accuracy_interval",
        "letters",
    ]


def test_differences_stand_with_the_better_placed_first_and_holm_runs_over_the_pairs_of_a_metric(three, found):
    order = table(found, "ranking").frame["backbone"].tolist()
    raw = {
        (own.metric, own.first, own.second): own
        for own in compare_models(three.paired, three.metrics, n_draws=1000).differences
    }
    for metric in ("balanced_accuracy", "log_loss"):
        frame = table(found, f"pairwise_{metric}").frame
        assert list(zip(frame["first"], frame["second"], strict=True)) == [
            (order[0], order[1]),
            (order[0], order[2]),
            (order[1], order[2]),
        ]
        for row in frame.itertuples():
            given = raw.get((metric, row.first, row.second))
            own = raw[metric, row.second, row.first] if given is None else given
            sign = -1 if given is None else 1
            assert row.difference == pytest.approx(sign * own.difference)
            assert sorted((row.low, row.high)) == pytest.approx(sorted((sign * own.low, sign * own.high)))
            assert (row.p, row.p_holm) == (own.p, own.p_holm)
        assert frame["p"].min() * 3 == pytest.approx(frame["p_holm"].min())
        assert (frame["better"] == ["–", order[0], order[1]]).all()


def test_the_secondary_tests_count_all_folds_and_sum_to_one(found):
    frame = table(found, "fold_differences").frame
    assert len(frame) == 2 * 3
    assert (frame["n_folds"] == 3).all()
    np.testing.assert_allclose(frame[["better", "equivalent", "worse"]].sum(axis=1), 1)


def test_every_table_and_figure_can_be_written_and_is_plain(found, tmp_path):
    for own in found.tables:
        write_table(own, tmp_path)
        assert re.fullmatch("[a-z0-9_]+", own.name)
        read = pd.read_csv(tmp_path / f"{own.name}.csv")
        assert len(read) == len(own.frame)
        assert (tmp_path / f"{own.name}.tex").exists()
    assert [own.name for own in found.drawings] == ["differences_from_best", "probability_of_better"]
    for own in found.drawings:
        assert own.draw().axes


def test_metrics_are_finite_ends_of_the_intervals_of_pooled_values(three, found):
    for name, own in found.backbone_metrics.items():
        assert set(own) == {
            f"oof/{metric}_{end}" for metric in ("balanced_accuracy", "log_loss") for end in ("ci_low", "ci_high")
        }
        assert all(math.isfinite(value) for value in own.values())
        pooled = three.results[name].pooled
        assert own["oof/log_loss_ci_low"] < pooled["log_loss"] < own["oof/log_loss_ci_high"]
        assert {f"{name}/{key}": value for key, value in own.items()}.items() <= found.metrics.items()


def test_what_is_recorded_says_the_same_and_holds_no_nan(found):
    recorded = comparison(found)
    assert tuple(recorded["sentences"]) == found.sentences
    assert recorded["verdict"] == list(found.sentences[:2])
    assert recorded["letters"] == {"keen": "a", "level": "a", "blind": "b"}
    assert recorded["order"] == table(found, "ranking").frame["backbone"].tolist()
    assert len(recorded["scores"]) == 6
    assert len(recorded["differences"]) == 6
    assert verdict_of(recorded) == [*found.sentences[:2], "Backbones that share a letter cannot be told apart."]
    assert verdict_of(None) == []


def test_it_says_why_there_is_no_mcnemar_no_friedman_and_what_more_groups_would_take(three):
    said = told(three)
    assert "No Friedman or Nemenyi test is done over the folds" in said
    assert "McNemar's test is not given" in said
    assert re.search(r"it would take (about [\d,]+|more than 10,000) more groups? for a single test", said)
    assert "This is an estimate" in said
    assert "240 images in 60 groups" in said


def test_mcnemar_is_there_where_each_image_is_a_group_of_its_own(tmp_path):
    own = section(made_evidence(tmp_path, TWINS, **QUICK))
    frame = table(own, "mcnemar").frame
    assert len(frame) == 1
    assert (frame["mid"] <= frame["exact"]).all()
    assert "McNemar's test of right and wrong decisions is given" in " ".join(own.sentences)
    assert "240 images, each a group of its own" in " ".join(own.sentences)


def test_a_real_lead_of_one_over_one_other_is_called_beyond_chance(tmp_path):
    answer = section(noisy(tmp_path, {"keen": 0.0, "blind": 30.0})).sentences[0]
    assert answer.startswith("keen has the highest balanced accuracy")
    assert "and its lead over blind is beyond chance (adjusted p " in answer


def test_twins_are_never_told_apart_and_share_the_first_place(tmp_path):
    evidence = made_evidence(tmp_path, TWINS, noise=0.0, **QUICK)
    own = section(evidence)
    assert own.sentences[0].startswith("sure and twin share the highest balanced accuracy")
    assert comparison(own)["letters"] == {"sure": "a", "twin": "a"}
    assert comparison(own)["more_groups"] is None
    for drawing in own.drawings:
        assert drawing.draw().axes


def test_with_few_groups_nothing_is_claimed(tmp_path):
    own = section(noisy(tmp_path, {"keen": 0.0, "blind": 30.0}, n=60, n_validation=9, group_size=4))
    said = " ".join(own.sentences)
    assert "but 15 groups cannot tell whether its lead is more than chance" in own.sentences[0]
    assert "fewer than 20 cannot carry a claim" in own.sentences[1]
    assert "beyond chance" not in said.replace("cannot tell whether its lead is more than chance", "")
    assert comparison(own)["letters"] == {}
    frame = table(own, "pairwise_balanced_accuracy").frame
    assert frame["p"].isna().all()
    assert frame["low"].notna().all()
    assert "p" not in table(own, "pairwise_balanced_accuracy").titles
    assert "letters" not in table(own, "ranking").frame


def test_one_backbone_has_its_interval_and_nothing_to_compare(tmp_path):
    own = section(made_evidence(tmp_path, {"lone": 1.0}, **QUICK))
    assert "there is no other backbone to compare it with" in own.sentences[0]
    assert "95\u00a0% interval" in own.sentences[0]
    assert [found.name for found in own.tables] == ["ranking"]
    assert own.drawings == ()
    assert "Friedman" not in " ".join(own.sentences)
    assert set(own.backbone_metrics) == {"lone"}


def test_backbones_with_other_finished_folds_are_cut_to_what_they_share(tmp_path):
    evidence = made_evidence(tmp_path, {"a": 1.0, "b": 1.0, "c": 1.0}, missing={"a": [0], "b": [2]}, **QUICK)
    own = section(evidence)
    assert evidence.folds == (1,)
    assert "This is about fold 1 of 3 alone, which all of them have finished." in own.sentences
    assert comparison(own)["n_images"] == len(evidence.plan.rows[1].test)
    assert "fold_differences" not in [found.name for found in own.tables]
    for name, result in evidence.results.items():
        low, high = (own.backbone_metrics[name][f"oof/log_loss_{end}"] for end in ("ci_low", "ci_high"))
        alone = compare_models(
            pair_predictions({name: result.out_of_fold}, evidence.plan.manifest.targets, evidence.groups),
            ["log_loss"],
            n_draws=1000,
        )
        assert (low, high) == (alone.scores[0].low, alone.scores[0].high)


def test_a_backbone_without_a_fold_in_common_is_left_out_and_named(tmp_path):
    evidence = made_evidence(
        tmp_path, {"a": 1.0, "b": 1.0, "odd": 1.0}, missing={"a": [2], "b": [2], "odd": [0, 1]}, **QUICK
    )
    own = section(evidence)
    assert evidence.left_out == ["odd"]
    assert set(evidence.names) == {"a", "b"}
    assert evidence.folds == (0, 1)
    assert set(evidence.tables) == {"a", "b"}
    assert "odd has finished no fold that the others have, and so cannot be compared with them." in own.sentences
    assert set(own.backbone_metrics) == {"a", "b", "odd"}


def test_nothing_finished_has_no_part(tmp_path):
    evidence = made_evidence(tmp_path, {"a": 1.0}, missing={"a": [0, 1, 2]}, **QUICK)
    assert statistics_section(evidence) is None


@pytest.mark.parametrize(
    ("kind", "classes", "metrics"),
    [
        ("multilabel", ("red", "round", "ripe"), ["f1_macro", "hamming_loss", "recall/red"]),
        ("ordinal", ("none", "mild", "severe", "worst"), ["quadratic_kappa", "mean_absolute_error"]),
        ("multiclass", ("a b", "A-B"), ["roc_auc", "recall/a b", "recall/A-B"]),
    ],
)
@pytest.mark.parametrize("group_size", [1, 4])
def test_labels_of_all_kinds_with_repeats_and_groups(tmp_path, kind, classes, metrics, group_size):
    evidence = made_evidence(
        tmp_path,
        {"a": 1.0, "b": 0.7, "c": 1.0},
        kind=kind,
        classes=classes,
        n_repeats=2,
        group_size=group_size,
        metrics=metrics,
        **QUICK,
    )
    own = section(evidence)
    said = " ".join(own.sentences)
    assert "The images were cut into folds 2 times" in said
    assert "Over 6 folds" in said
    assert ("mcnemar" in [found.name for found in own.tables]) == (group_size == 1)
    names = [found.name for found in own.tables]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("pairwise_") for name in names) == len(evidence.metrics)
    for drawing in own.drawings:
        assert drawing.draw().axes


def test_two_images_a_class_do_not_crash_it(tmp_path):
    own = section(made_evidence(tmp_path, TWINS, classes=("a", "b"), n=6, n_validation=1, **QUICK))
    assert "cannot carry a claim" in " ".join(own.sentences)
    for drawing in own.drawings:
        assert drawing.draw().axes


def test_a_metric_that_is_undefined_is_said_to_be(tmp_path):
    made = made_evidence(tmp_path, TWINS, classes=("a", "b"), n=30, n_validation=4, **QUICK)
    by_area = {"evaluation": {"metric": "roc_auc"}}
    experiment = Experiment.model_validate(made.plan.experiment.model_dump() | by_area)
    evidence = Evidence(replace(made.plan, experiment=experiment), made.results, made.fetch)
    evidence.__dict__["tables"] = {name: own.assign(true="a") for name, own in made.tables.items()}
    own = section(evidence)
    assert own.sentences[0] == "No backbone has a value of ROC AUC on these images, so none can be called best."
    assert table(own, "ranking").frame["roc_auc"].isna().all()
    json.loads(own.files[COMPARISON])


def test_folds_that_all_differ_alike_are_not_said_to_make_anything_sure(three):
    own = stand(three.paired, three.compared, three.metrics)
    first, second = own.order[:2]
    level = fold_difference([0.9] * 3, [0.9] * 3, n_train=[100] * 3, n_test=[50] * 3)
    told = beliefs(replace(own, over_folds=(OverFolds(own.metric, first, second, level, correlated_t(level)),)))
    assert "cannot tell how sure" in told
    assert "99" not in told
