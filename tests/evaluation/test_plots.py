from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Affine2D
from PIL import Image

from tasks.evaluation.confusion import confusion_figure
from tasks.evaluation.curves import calibration_figure, precision_recall_figure, roc_figure
from tasks.evaluation.plots import counts_figure, write_plots
from tasks.evaluation.progress import loss_figure, metrics_figure

pytestmark = pytest.mark.filterwarnings("error")

HISTORY = pd.DataFrame(
    {
        "epoch": [0, 1, 2],
        "train/loss": [1.0, 0.5, 0.3],
        "val/loss": [1.1, 0.6, 0.9],
        "train/accuracy": [0.5, 0.6, 0.7],
        "val/accuracy": [0.5, 0.6, 0.6],
        "learning_rate": [1e-3, 1e-3, 1e-4],
        "seconds": [1.0, 1.0, 1.0],
    }
)


def predictions(n, n_classes):
    rng = np.random.default_rng(0)
    y_true = np.arange(n) % n_classes
    raw = rng.random((n, n_classes)) + np.eye(n_classes)[y_true]
    return y_true, raw / raw.sum(axis=1, keepdims=True)


def legend(figure):
    return [text.get_text().strip() for text in figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize("classes", [["no pain", "pain"], [f"Größe {i} _$x^$ {'lang ' * i}" for i in range(14)]])
def test_every_plot_is_written_as_a_readable_picture(tmp_path, classes):
    y_true, y_prob = predictions(30, len(classes))
    counts = pd.DataFrame({role: np.bincount(y_true) for role in ("train", "validation", "test")}, index=classes)
    files = write_plots(tmp_path / "plots", y_true, y_prob, classes, HISTORY, counts)
    names = {"confusion_matrix", "roc", "precision_recall", "calibration", "loss", "metrics", "class_counts"}
    assert {file.stem for file in files} == names
    assert sorted(files) == sorted((tmp_path / "plots").iterdir())
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) > 200
            assert len(set(picture.convert("L").resize((60, 60)).get_flattened_data())) > 5


@pytest.mark.parametrize("n_classes", [2, 4, 5, 6, 13, 30])
@pytest.mark.parametrize("letter", ["W", "i", "Ж"])
def test_nothing_reaches_the_edge_of_a_plot_where_it_would_be_cut(n_classes, letter, monkeypatch):
    drawn = {}
    monkeypatch.setattr("tasks.evaluation.plots.save", lambda figure, file: drawn.update({file.stem: figure}))
    classes = [f"{letter * 40}{i}" for i in range(n_classes)]
    y_true, y_prob = predictions(60, n_classes)
    counts = pd.DataFrame({role: np.bincount(y_true) * 100_000 for role in ("train", "validation")}, index=classes)
    write_plots(Path(), y_true, y_prob, classes, HISTORY, counts)
    assert len(drawn) == 7
    for name, figure in drawn.items():
        FigureCanvasAgg(figure).draw()
        width, height = figure.bbox.size
        box = figure.get_tightbbox().transformed(Affine2D().scale(figure.dpi))
        assert (box.x0 >= 0, box.y0 >= 0, box.x1 <= width, box.y1 <= height) == (True,) * 4, name


def test_without_a_history_and_counts_only_the_predictions_are_drawn(tmp_path):
    files = write_plots(tmp_path, *predictions(6, 2), ["a", "b"], HISTORY.iloc[:0])
    assert {file.stem for file in files} == {"confusion_matrix", "roc", "precision_recall", "calibration"}


def test_the_confusion_matrix_shows_true_classes_in_rows():
    figure = confusion_figure(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), ["cat", "dog"])
    axes = figure.axes[0]
    told = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert told == {(0, 0): "1\n33%", (1, 0): "2\n67%", (0, 1): "0\n0%", (1, 1): "1\n100%"}
    assert axes.get_ylabel() == "true"
    np.testing.assert_allclose(axes.images[0].get_array(), [[1 / 3, 2 / 3], [0, 1]])


def test_the_legend_tells_each_classs_area_and_which_class_is_absent():
    y_true = np.array([0, 0, 1, 1])
    y_prob = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1]])
    told = legend(roc_figure(y_true, y_prob, ["cat", "dog", "_owl"]))
    assert told == ["cat (area 0.750)", "dog (area 0.750)", "_owl (no image)"]
    told = legend(precision_recall_figure(y_true, y_prob, ["cat", "dog", "_owl"]))
    assert told[2] == "_owl (no image)"
    assert told[0] == "cat (average 0.833, share 0.50)"


def test_images_of_one_class_alone_have_no_roc_curve():
    told = legend(roc_figure(np.array([1, 1]), np.array([[0.1, 0.9], [0.2, 0.8]]), ["cat", "dog"]))
    assert told == ["cat (no image)", "dog (no image of another class)"]


def test_the_reliability_plot_tells_the_calibration_error():
    y_prob = np.array([[0.9, 0.1]] * 10)
    figure = calibration_figure(np.array([0] * 5 + [1] * 5), y_prob, ["a", "b"])
    assert "0.400" in figure.axes[0].get_title(loc="left")


def test_the_best_epoch_is_that_of_the_least_validation_loss():
    assert "least validation loss (epoch 1)" in legend(loss_figure(HISTORY))
    broken = HISTORY.assign(**{"val/loss": [np.nan, np.nan, 0.2]})
    assert "least validation loss (epoch 2)" in legend(loss_figure(broken))


def test_a_history_of_one_epoch_or_without_other_metrics_is_drawn():
    assert loss_figure(HISTORY.iloc[:1]).axes
    assert loss_figure(HISTORY[["epoch", "train/loss"]]).axes
    assert metrics_figure(HISTORY[["epoch", "train/loss", "val/loss", "learning_rate"]]) is None


def test_bars_are_as_long_as_the_counts_side_by_side_or_stacked():
    few = pd.DataFrame({"train": [4, 6], "test": [1, 2]}, index=["a", "b"])
    assert [bar.get_width() for bar in counts_figure(few).axes[0].patches] == [4, 6, 1, 2]
    many = pd.DataFrame({"train": range(1, 21), "test": [1] * 20}, index=[f"class {i}" for i in range(20)])
    axes = counts_figure(many).axes[0]
    assert [bar.get_x() for bar in axes.patches][20:] == list(range(1, 21))
    assert axes.texts[0].get_text() == "1 · 1"
