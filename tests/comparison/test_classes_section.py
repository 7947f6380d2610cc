from __future__ import annotations

import dataclasses

import pytest

from tasks.comparison.classes_section import classes_section
from tests.support.made_evidence import made_evidence

HOSTILE = ("<b>cat</b>", "50 % dog/cat & co", "קטלוג")


@pytest.mark.parametrize("kind", ["multiclass", "ordinal", "multilabel"])
def test_every_class_has_a_row_whatever_it_is_called(tmp_path, kind):
    evidence = made_evidence(tmp_path, {"one": 1.0, "two": 0.5}, kind=kind, classes=HOSTILE, n=120, n_validation=6)
    found = classes_section(evidence)
    by_class, best, everything = found.tables
    assert by_class.frame["class"].tolist() == best.frame["class"].tolist() == list(HOSTILE)
    assert set(by_class.titles) == {"class", "images", "f1_one", "f1_two"}
    assert set(everything.frame["class"]) == set(HOSTILE)
    assert everything.titles == {}


def test_figures_are_those_of_the_folds_and_of_all_together(tmp_path):
    evidence = made_evidence(tmp_path, {"one": 1.0}, n=120, n_validation=6)
    [best, everything] = classes_section(evidence).tables
    own = evidence.results["one"]
    found = everything.frame.set_index(["class", "metric"]).loc[("dog", "recall")]
    assert found["mean"] == own.summaries["recall/dog"].mean
    assert found["ci_low"] == own.summaries["recall/dog"].ci_low
    assert found["pooled"] == own.pooled["recall/dog"]
    assert best.frame["images"].sum() == 120


def test_the_hardest_class_is_named_with_its_interval_and_its_rivals(tmp_path):
    evidence = made_evidence(tmp_path, {"one": 1.0}, n=120, n_validation=6)
    found = classes_section(evidence)
    own = evidence.results["one"].summaries
    worst = min(("cat", "dog", "owl"), key=lambda label: own[f"f1/{label}"].mean)
    assert found.sentences[0].startswith(f"one has its lowest F1 for {worst} ({own[f'f1/{worst}'].mean:.3f}, 95 %")
    assert "not settled" in found.sentences[1]


def test_classes_far_apart_are_not_hedged(tmp_path):
    evidence = made_evidence(tmp_path, {"one": 1.0}, n=120, n_validation=6)
    own = evidence.results["one"]
    sure = {
        f"f1/{label}": dataclasses.replace(
            own.summaries[f"f1/{label}"], mean=mean, ci_low=mean - 0.01, ci_high=mean + 0.01
        )
        for label, mean in (("cat", 0.2), ("dog", 0.8), ("owl", 0.9))
    }
    told = dataclasses.replace(own, summaries={**own.summaries, **sure})
    found = classes_section(dataclasses.replace(evidence, results={"one": told}))
    assert len(found.sentences) == 1
    assert "lowest F1 for cat (0.200, 95 % interval 0.190 to 0.210)" in found.sentences[0]


def test_nothing_finished_gives_no_part(tmp_path):
    evidence = made_evidence(tmp_path, {"one": 1.0}, n=60, n_validation=6, missing={"one": [0, 1, 2]})
    assert classes_section(evidence) is None
