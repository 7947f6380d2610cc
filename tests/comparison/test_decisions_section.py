from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score

from tasks.comparison.calibration.fold_scalings import fold_scalings, scaled_holdout, scaled_out_of_fold
from tasks.comparison.decisions.decided import COVERAGE, decide_with
from tasks.comparison.decisions.section import decisions_section
from tasks.comparison.decisions.told import at_coverage, decision_sentences, percent, threshold
from tasks.evaluation.style import save
from tests.support.made_evidence import made_evidence

pytestmark = pytest.mark.filterwarnings("error")

TWO = ("no pain", "pain")


def test_thresholds_reach_what_is_wanted_and_are_told_for_held_out_images_too(tmp_path):
    evidence = made_evidence(tmp_path, {"vgg16": 0.5, "ncnn": 1.5}, classes=TWO, n=200, n_holdout=60, group_size=2)
    section = decisions_section(evidence)
    points = section.tables[0].frame
    assert len(points) == 2 * 4
    for row in points.to_dict("records"):
        scalings = fold_scalings(evidence, row["backbone"])
        tables = {
            "": scaled_out_of_fold(evidence, row["backbone"], scalings),
            "holdout_": scaled_holdout(evidence, row["backbone"], scalings),
        }
        for part, table in tables.items():
            truth, called = table["true"] == "pain", table["prob/pain"] >= row["threshold"]
            assert row[f"{part}sensitivity"] == pytest.approx(recall_score(truth, called))
            assert row[f"{part}specificity"] == pytest.approx(recall_score(~truth, ~called))
        truth, called = (tables[""]["true"] == "pain"), tables[""]["prob/pain"] >= row["threshold"]
        assert row["precision"] == pytest.approx(precision_score(truth, called))
        assert row[row["wanted"]] >= row["target"] - 1e-9
        assert row["threshold_low"] <= row["threshold"] <= row["threshold_high"]
    told = " ".join(section.sentences)
    assert "chosen on these same images" in told
    assert "on 60 held out images, which neither model nor threshold has seen" in told
    best = points[(points["backbone"] == evidence.names[0]) & (points["target"] == 0.95)].set_index("wanted")
    assert f"{percent(best.loc['sensitivity', 'holdout_specificity'])} specificity" in told
    metric = section.backbone_metrics[evidence.names[0]]["thresholds/specificity_at_sensitivity_95"]
    assert metric == best.loc["sensitivity", "specificity"]


def test_without_held_out_images_it_is_said_that_nothing_tells_how_optimistic_thresholds_are(tmp_path):
    section = decisions_section(made_evidence(tmp_path, {"ncnn": 1.0}, classes=TWO))
    assert "no held out images can say how much" in " ".join(section.sentences)
    assert not any(name.startswith("holdout") for name in section.tables[0].titles)


def test_other_settings_give_other_rows(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 1.0}, classes=TWO, sensitivity=[0.8, 0.8, 0.99], specificity=[])
    points = decide_with(evidence).points
    assert points[["wanted", "target"]].to_numpy().tolist() == [["sensitivity", 0.8], ["sensitivity", 0.99]]


def test_the_sentence_on_abstaining_has_the_figures_of_the_surest_images(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 1.0}, n=300, spread=3)
    table = scaled_out_of_fold(evidence, "ncnn", fold_scalings(evidence, "ncnn"))
    sure = table[["prob/cat", "prob/dog", "prob/owl"]].max(axis=1)
    wrong = (table["true"] != table["predicted"])[sure.sort_values(ascending=False).index]
    expected, whole = wrong.iloc[: round(COVERAGE * len(wrong))].mean(), wrong.mean()
    found = decide_with(evidence)
    assert found.spared.value == pytest.approx(whole - expected)
    assert found.spared.low < found.spared.value < found.spared.high
    assert at_coverage(found.risks["ncnn"], COVERAGE).value == pytest.approx(expected)
    first = decisions_section(evidence).sentences[0]
    assert first.startswith("Abstaining helps: answering only the surest 80 % of images, ncnn is wrong on ")
    assert f"wrong on {percent(expected)} (95 % interval " in first
    assert first.endswith(f"instead of {percent(whole)}.")


def rewritten(tmp_path, evidence, change):
    """Change the test predictions of all fold runs of evidence that nobody has looked at yet."""
    for file in tmp_path.glob("*/predictions.parquet"):
        change(pd.read_parquet(file)).to_parquet(file, index=False)
    return evidence


def test_with_confidence_that_tells_nothing_no_help_is_claimed(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 1.0, "vgg16": 1.0}, classes=TWO, missing={"vgg16": [0]})

    def blind(table):
        sure = np.random.default_rng(len(table)).uniform(0.5, 1, len(table))
        called = table["predicted"] == "pain"
        return table.assign(**{"prob/pain": np.where(called, sure, 1 - sure)}).assign(
            **{"prob/no pain": np.where(called, 1 - sure, sure)}
        )

    found = decide_with(rewritten(tmp_path, evidence, blind))
    assert found.spared.low < 0 < found.spared.high
    assert decision_sentences(found)[0].startswith("Whether abstaining helps is not certain: ")


def test_a_model_that_is_never_wrong_has_nothing_to_gain(tmp_path):
    def right(table):
        p = (table["true"] == "pain") * 0.8 + 0.1
        return table.assign(predicted=table["true"], **{"prob/pain": p, "prob/no pain": 1 - p})

    evidence = made_evidence(tmp_path, {"ncnn": 1.0, "vgg16": 1.0}, classes=TWO, missing={"vgg16": [0]}, n_holdout=9)
    section = decisions_section(rewritten(tmp_path, evidence, right))
    assert "is wrong on no image" in section.sentences[0]
    assert (section.tables[0].frame[["sensitivity", "specificity"]] == 1).all(axis=None)


def test_twenty_groups_are_needed_for_a_claim(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 1.0}, n=190, group_size=10, spread=4)
    assert decide_with(evidence).spared.low > 0
    assert decisions_section(evidence).sentences[0].startswith("Whether abstaining helps is not certain: ")


def test_of_many_classes_the_most_frequent_have_thresholds_and_none_a_decision_curve(tmp_path):
    classes = [f"class {number:02}" for number in range(14)]
    evidence = made_evidence(tmp_path, {"ncnn": 1.0, "vgg16": 1.0}, classes=classes, n=300)
    section = decisions_section(evidence)
    points = section.tables[0].frame
    counts = evidence.tables["ncnn"]["true"].value_counts()
    told = points["event"].drop_duplicates().tolist()
    assert len(told) == 10
    assert told == sorted(told)
    assert counts[told].min() >= counts.drop(told).max()
    assert set(points["backbone"]) == {evidence.names[0]}
    assert "for the 10 of 14 that most images have" in " ".join(section.sentences)
    assert [drawing.name for drawing in section.drawings] == ["risk_coverage"]
    assert "decision_curves" not in [table.name for table in section.tables]


def test_each_label_and_each_grade_has_its_decision_curve(tmp_path):
    for kind, events in (("multilabel", ["cat", "dog", "owl"]), ("ordinal", ["dog or above", "owl or above"])):
        folder = tmp_path / kind
        folder.mkdir()
        evidence = made_evidence(folder, {"ncnn": 1.0, "vgg16": 1.0}, kind=kind, n=120)
        found = decide_with(evidence)
        assert list(found.curves) == events
        y = evidence.plan.manifest.y
        shares = y.mean(axis=0) if kind == "multilabel" else [(y >= grade).mean() for grade in (1, 2)]
        for curves, share in zip(found.curves.values(), shares, strict=True):
            for curve in curves.values():
                # Nobody has more than the good of finding all positive images without a false alarm.
                assert (curve["net_benefit"] <= share + 1e-9).all()
                odds = curve["threshold"] / (1 - curve["threshold"])
                np.testing.assert_allclose(curve["treat_all"], share - (1 - share) * odds)


def test_a_good_model_does_good_and_a_blind_one_is_not_said_to(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    good = made_evidence(tmp_path / "a", {"ncnn": 1.0}, classes=TWO, n=300, spread=5, noise=0.1)
    assert "for 'pain' at thresholds from 0." in decisions_section(good).sentences[-1]
    blind = made_evidence(tmp_path / "b", {"ncnn": 1.0}, classes=TWO, n=300, spread=0.1, noise=2)
    assert "At no threshold does acting on ncnn's probabilities do more good" in decisions_section(blind).sentences[-1]


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
@pytest.mark.parametrize(("method", "small"), [("vector", False), ("none", True)])
def test_every_kind_is_told_and_drawn(tmp_path, kind, method, small):
    shape = {"n": 9, "n_validation": 2, "n_holdout": 1} if small else {"n": 60, "group_size": 3, "n_repeats": 2}
    backbones = {"ncnn": 1.0} if small else {"vgg16": 0.3, "ncnn": 3.0}
    missing = {} if small else {"vgg16": [1]}
    evidence = made_evidence(tmp_path, backbones, kind=kind, missing=missing, calibration=method, **shape)
    section = decisions_section(evidence)
    assert all(sentence.endswith(".") and "nan" not in sentence for sentence in section.sentences)
    for table in section.tables:
        assert set(table.titles) <= set(table.frame.columns)
    for drawing in section.drawings:
        save(drawing.draw(), tmp_path / f"{drawing.name}.png")
    assert all(math.isfinite(value) for values in section.backbone_metrics.values() for value in values.values())


def test_a_class_that_no_image_has_is_left_out(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 1.0}, classes=[f"c{number}" for number in range(9)], n=12)
    present = sorted(set(evidence.plan.manifest.table["label"]))
    assert 2 < len(present) < 9
    assert list(decide_with(evidence).events) == present


def test_a_threshold_that_lets_nobody_through_is_called_none():
    assert threshold(math.nextafter(1.0, 2.0)) == "none"
    assert threshold(0.25) == "0.250"


def test_too_few_groups_carry_no_claim_of_good(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 1.0}, classes=TWO, n=190, group_size=10, spread=5, noise=0.1)
    last = decisions_section(evidence).sentences[-1]
    assert last.startswith("Whether acting on ncnn's probabilities does more good")
    assert "too few groups" in last


def test_no_other_backbone_is_put_forward_by_a_figure_that_was_not_tested(tmp_path):
    """The best one by decisions has confidence that tells nothing, and another one confidence that tells much."""
    evidence = made_evidence(tmp_path, {"ncnn": 1.0, "vgg16": 1.0}, classes=TWO, missing={"vgg16": [0]}, spread=4)

    def of(name, wrong):
        for file in tmp_path.glob(f"{name}-*/predictions.parquet"):
            table = pd.read_parquet(file)
            bad = np.arange(len(table)) % 10 == 0
            called = (table["true"] == "pain").to_numpy() ^ bad
            sure = np.where(bad, *wrong)
            p = np.where(called, sure, 1 - sure)
            predicted = np.where(called, "pain", "no pain")
            table.assign(predicted=predicted, **{"prob/pain": p, "prob/no pain": 1 - p}).to_parquet(file, index=False)

    best, other = evidence.names
    of(best, (0.99, 0.7))
    of(other, (0.55, 0.95))
    assert not any(other in sentence for sentence in decisions_section(evidence).sentences)
