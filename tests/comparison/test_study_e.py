from __future__ import annotations

import pandas as pd
import pytest

from tasks.comparison.study_e import study_e_rows, write_study_e


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
    rows = study_e_rows(oof)
    assert list(rows.columns) == ["Fold", "Image", "Class", "Pred", "Conf", "Right?"]
    assert list(rows["Image"]) == ["c.png", "a/ä 1.png", "b/2.png"]
    assert list(rows["Fold"]) == [0, 1, 1]
    assert list(rows["Conf"]) == [100.0, 75.0, 98.7612]
    assert list(rows["Right?"]) == [1, 1, 0]


def test_the_file_has_semicolons_and_decimal_commas_in_utf8(oof, tmp_path):
    write_study_e(tmp_path / "report.csv", oof)
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
    write_study_e(tmp_path / "report.csv", oof)
    back = pd.read_csv(tmp_path / "report.csv", sep=";", decimal=",")
    pd.testing.assert_frame_equal(back, study_e_rows(oof), check_dtype=False)


def test_a_predicted_class_without_a_probability_is_refused(oof):
    oof.loc[1, "predicted"] = "Rest"
    with pytest.raises(ValueError, match="'Rest'"):
        study_e_rows(oof)
