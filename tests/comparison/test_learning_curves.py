from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.curves.figure import curves_figure
from tasks.comparison.curves.learning_curves import LearningCurves, band_table
from tasks.comparison.curves.section import curves_section
from tests.support.made_evidence import made_evidence


def history(val, train=None):
    train = val if train is None else train
    return pd.DataFrame({"epoch": range(len(val)), "train/loss": train, "val/loss": val})


def curves(*vals, name="a"):
    return LearningCurves(name, tuple(history(val) for val in vals))


def test_a_band_is_mean_and_range_of_the_folds_that_still_train():
    band = curves([3.0, 2.0, 1.0], [5.0, 2.0], [4.0, 5.0, 3.0]).band("val/loss")
    assert band["n_folds"].tolist() == [3, 3, 2]
    assert band["mean"].tolist() == pytest.approx([4, 3, 2])
    assert band["low"].tolist() == [3, 2, 1]
    assert band["high"].tolist() == [5, 5, 3]


def test_one_fold_has_a_band_without_width():
    band = curves([3.0, 2.0]).band("val/loss")
    assert (band["low"] == band["high"]).all()
    assert (band["mean"] == band["low"]).all()


def test_epochs_without_any_value_have_no_band():
    assert curves([3.0, np.nan, 1.0], [2.0, np.nan, 1.0]).band("val/loss")["epoch"].tolist() == [0, 2]
    assert curves([1.0]).band("val/accuracy").empty


@pytest.mark.parametrize(
    ("val", "improving", "best"),
    [([3, 2, 1], 1, [2]), ([3, 1, 2], 0, [1]), ([1], 0, [0]), ([np.nan, 2, 1], 1, [2]), ([np.nan, np.nan], 0, [])],
)
def test_a_fold_still_improves_whose_last_epoch_is_the_best(val, improving, best):
    own = curves(np.array(val, dtype=float))
    assert own.n_still_improving == improving
    assert own.best_epochs == best


def test_all_bands_stand_in_one_table():
    found = band_table([curves([1.0, 2.0]), curves([3.0], name="b")], ["train/loss", "val/loss", "val/accuracy"])
    assert found.groupby(["backbone", "curve"]).size().to_dict() == {
        ("a", "train/loss"): 2,
        ("a", "val/loss"): 2,
        ("b", "train/loss"): 1,
        ("b", "val/loss"): 1,
    }


def test_all_panels_have_one_scale():
    drawn = curves_figure([curves([1.0, 0.5]), curves([2.0, 1.5, 1.0], name="b")], "loss", "loss")
    first, second = drawn.axes
    assert first.get_ylim() == second.get_ylim()
    assert first.get_xlim() == second.get_xlim() == (-0.5, 2.5)
    assert [axes.get_title(loc="left") for axes in drawn.axes] == ["a", "b"]


def test_losses_of_very_different_size_are_all_seen():
    assert curves_figure([curves([40.0, 0.5])], "loss", "loss").axes[0].get_yscale() == "log"
    assert curves_figure([curves([4.0, 0.5])], "loss", "loss").axes[0].get_yscale() == "linear"
    assert curves_figure([curves([40.0, 0.0])], "loss", "loss").axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_any_number_of_backbones_is_drawn(n):
    drawn = curves_figure([curves([1.0, 0.5], name=f"net_{i} $x") for i in range(n)], "loss", "loss")
    assert len(drawn.axes) == n
    drawn.canvas.draw()


def logged(evidence, tmp_path, vals):
    """Write a history for each fold run of each backbone; None: it has none."""
    for name, of_folds in vals.items():
        for fold, val in enumerate(of_folds):
            if val is not None:
                history(val).to_csv(tmp_path / f"{name}-{fold}" / "history.csv", index=False)
    return curves_section(evidence)


def test_the_part_names_the_backbones_that_were_not_done(tmp_path):
    evidence = made_evidence(tmp_path, {"short": 1.0, "other": 1.0}, n=60, n_validation=6)
    found = logged(evidence, tmp_path, {"short": [[3.0, 2.0]] * 2 + [[1.0, 2.0]], "other": [[3.0, 1.0, 2.0]] * 3})
    assert "short (2 of 3 folds)" in found.sentences[0]
    assert "other" not in found.sentences[0]
    told = found.tables[0].frame.set_index("backbone")
    assert told.loc["other", "val_loss_mean"] == 1
    assert told.loc["short", ["epochs", "n_still_improving"]].tolist() == ["2", 2]


def test_the_part_says_so_where_all_were_trained_long_enough(tmp_path):
    evidence = made_evidence(tmp_path, {"only": 1.0}, n=60, n_validation=6)
    found = logged(evidence, tmp_path, {"only": [[3.0, 1.0, 2.0]] * 3})
    assert "before the last epoch" in found.sentences[0]


def test_folds_without_curves_are_left_out(tmp_path):
    evidence = made_evidence(tmp_path, {"one": 1.0, "two": 1.0}, n=60, n_validation=6, missing={"one": [0]})
    found = logged(evidence, tmp_path, {"one": [None, [2.0, 1.0], None]})
    assert found.tables[0].frame[["backbone", "n_folds"]].to_numpy().tolist() == [["one", 1]]


def test_without_any_curve_there_is_no_part(tmp_path):
    assert curves_section(made_evidence(tmp_path, {"one": 1.0}, n=60, n_validation=6)) is None
