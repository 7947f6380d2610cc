from __future__ import annotations

import pandas as pd
import pytest

from tasks.comparison.study_e import study_e_rows, write_study_e
from tasks.dataset.targets import Targets

PAIN = Targets(("No_pain", "Pain"))


@pytest.fixture
def oof():
    return pd.DataFrame(
        {
            "path": ["b/2.png", "a/ä 1.png", "c.png"],
            "sha256": ["x", "y", "z"],
            "fold": [1, 1, 0],
            "true": ["Pain", "Pain", "No_pain"],
            "predicted": ["No_pain", "Pain", "No_pain"],
            "prob/No_pain": [0.987612345, 0.25, 1.0],
            "prob/Pain": [0.012387655, 0.75, 0.0],
        }
    )


def test_confidence_is_that_of_the_predicted_class_in_percent(oof):
    rows = study_e_rows(oof, PAIN)
    assert list(rows.columns) == ["Fold", "Image", "Class", "Pred", "Conf", "Right?"]
    assert list(rows["Image"]) == ["c.png", "a/ä 1.png", "b/2.png"]
    assert list(rows["Fold"]) == [0, 1, 1]
    assert list(rows["Conf"]) == [100.0, 75.0, 98.7612]
    assert list(rows["Right?"]) == [1, 1, 0]


def test_the_file_has_semicolons_and_decimal_commas_in_utf8(oof, tmp_path):
    write_study_e(tmp_path / "report.csv", oof, PAIN)
    lines = (tmp_path / "report.csv").read_bytes().decode("utf-8").split("\n")
    assert lines == [
        "Fold;Image;Class;Pred;Conf;Right?",
        "0;c.png;No_pain;No_pain;100,0;1",
        "1;a/ä 1.png;Pain;Pain;75,0;1",
        "1;b/2.png;Pain;No_pain;98,7612;0",
        "",
    ]


def test_the_file_reads_back_to_the_same_rows(oof, tmp_path):
    oof.loc[0, "path"] = 'od;d "name".png'
    write_study_e(tmp_path / "report.csv", oof, PAIN)
    back = pd.read_csv(tmp_path / "report.csv", sep=";", decimal=",")
    pd.testing.assert_frame_equal(back, study_e_rows(oof, PAIN), check_dtype=False)


def test_a_predicted_class_without_a_probability_is_refused(oof):
    oof.loc[1, "predicted"] = "Rest"
    with pytest.raises(ValueError, match="'Rest'"):
        study_e_rows(oof, PAIN)


def test_of_several_labels_the_least_sure_decision_counts_and_all_must_be_right():
    leaves = Targets(("rust", "scab"), "multilabel", none_label="healthy")
    oof = pd.DataFrame(
        {
            "path": ["a", "b", "c"],
            "fold": 0,
            "true": ["rust scab", "healthy", "scab"],
            "predicted": ["rust scab", "healthy", "rust scab"],
            "prob/rust": [0.9, 0.1, 0.35],
            "prob/scab": [0.7, 0.4, 0.8],
        }
    )
    rows = study_e_rows(oof, leaves)
    assert rows["Conf"].tolist() == [70.0, 60.0, 35.0]
    assert rows["Right?"].tolist() == [1, 1, 0]
    assert rows["Pred"].tolist() == ["rust scab", "healthy", "rust scab"]


def test_the_confidence_in_a_grade_is_that_of_the_grade_decided_for():
    oof = pd.DataFrame({"path": ["a"], "fold": 0, "true": "1", "predicted": "1"})
    oof = oof.assign(**{"prob/0": 0.42, "prob/1": 0.13, "prob/2": 0.45})
    assert study_e_rows(oof, Targets(("0", "1", "2"), "ordinal"))["Conf"].tolist() == [13.0]
