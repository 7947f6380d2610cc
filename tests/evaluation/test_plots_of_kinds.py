from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Affine2D
from PIL import Image

from tasks.evaluation.confusion import label_confusion_figure
from tasks.evaluation.curves import calibration_figure, precision_recall_figure, roc_figure
from tasks.evaluation.plots import write_plots
from tasks.evaluation.progress import metrics_figure

pytestmark = pytest.mark.filterwarnings("error")

MAIN = ("accuracy", "subset_accuracy", "f1_macro", "roc_auc", "ece", "quadratic_kappa", "mean_absolute_error")
HISTORY = pd.DataFrame(
    {"epoch": [0, 1]}
    | {f"{part}/{name}": [0.5, 0.4] for part in ("train", "val") for name in ("loss", *MAIN)}
    | {"learning_rate": [1e-3, 1e-3]}
)
Y = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
PROB = np.array([[0.9, 0.4], [0.2, 0.1], [0.6, 0.3], [0.7, 0.2]])
PRED = np.array([[1, 1], [0, 0], [1, 0], [1, 0]])


def labels(n, n_labels):
    rng = np.random.default_rng(0)
    y_true = (rng.random((n, n_labels)) < 0.3).astype(int)
    y_true[0] = 0
    return y_true, np.clip(0.5 * y_true + 0.6 * rng.random(y_true.shape), 0, 1)


def legend(figure):
    return [text.get_text().strip() for text in figure.axes[0].get_legend().get_texts()]


def dots(figure):
    return [
        tuple(float(line.get_data()[i][0]) for i in (0, 1)) for line in figure.axes[0].lines if line.get_marker() == "o"
    ]


@pytest.mark.parametrize("n_labels", [2, 20])
def test_every_plot_of_several_labels_is_written_as_a_readable_picture(tmp_path, n_labels):
    classes = [f"Größe {i} _$x^$ {'lang ' * (i % 7)}" for i in range(n_labels)]
    y_true, y_prob = labels(40, n_labels)
    counts = pd.DataFrame({"train": np.arange(n_labels + 1)}, index=[*classes, "healthy"])
    files = write_plots(tmp_path, y_true, y_prob, classes, HISTORY, counts, kind="multilabel")
    names = {"confusion_matrix", "roc", "precision_recall", "calibration", "loss", "metrics", "class_counts"}
    assert {file.stem for file in files} == names
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) > 130
            assert len(set(picture.convert("L").resize((60, 60)).get_flattened_data())) > 5


@pytest.mark.parametrize("n_labels", [2, 6, 20])
def test_nothing_of_several_labels_reaches_the_edge_of_a_plot(n_labels, monkeypatch):
    drawn = {}
    monkeypatch.setattr("tasks.evaluation.plots.save", lambda figure, file: drawn.update({file.stem: figure}))
    y_true, y_prob = labels(60, n_labels)
    write_plots(Path(), y_true, y_prob, [f"{'W' * 40}{i}" for i in range(n_labels)], HISTORY, kind="multilabel")
    assert len(drawn) == 6
    for name, figure in drawn.items():
        FigureCanvasAgg(figure).draw()
        width, height = figure.bbox.size
        box = figure.get_tightbbox().transformed(Affine2D().scale(figure.dpi))
        assert (box.x0 >= 0, box.y0 >= 0, box.x1 <= width, box.y1 <= height) == (True,) * 4, name


def test_each_label_has_its_four_counts_with_shares_of_the_images_that_have_it_or_not():
    with_it, without = label_confusion_figure(Y, PRED, ["rust", "scab"]).axes
    told = [{tuple(text.get_position()): text.get_text() for text in axes.texts} for axes in (with_it, without)]
    assert {place: text for place, text in told[0].items() if "·" in text} == {
        (0, 0): "2 · 67%", (1, 0): "1 · 33%", (0, 1): "0 · 0%", (1, 1): "1 · 100%",
    }  # fmt: skip
    assert {place: text for place, text in told[1].items() if "·" in text} == {
        (0, 0): "1 · 100%", (1, 0): "0 · 0%", (0, 1): "1 · 33%", (1, 1): "2 · 67%",
    }  # fmt: skip
    assert [text.get_text() for text in with_it.get_yticklabels()] == ["rust", "scab"]
    assert [text.get_text() for text in with_it.get_xticklabels()] == ["given", "not given"]


def test_a_dot_on_each_curve_shows_what_was_decided():
    roc = roc_figure(Y, PROB, ["rust", "scab"], PRED)
    np.testing.assert_allclose(dots(roc), [(1, 2 / 3), (1 / 3, 0)])
    assert legend(roc) == ["rust (area 0.333)", "scab (area 0.667)"]
    precision_recall = precision_recall_figure(Y, PROB, ["rust", "scab"], PRED)
    np.testing.assert_allclose(dots(precision_recall), [(2 / 3, 2 / 3), (0, 0)])
    nothing = precision_recall_figure(Y, PROB, ["rust", "scab"], np.zeros_like(Y))
    assert dots(nothing) == [(0, 1), (0, 1)]
    assert roc.axes[0].get_title(loc="left") == "ROC, each label (dot: as decided)"
    assert dots(roc_figure(Y, PROB, ["rust", "scab"])) == []


def test_a_label_that_no_image_has_is_named_without_a_curve_and_a_dot():
    figure = roc_figure(np.array([[1, 0], [0, 0]]), PROB[:2], ["rust", "scab"], PRED[:2])
    assert legend(figure) == ["rust (area 1.000)", "scab (no image)"]
    assert len(dots(figure)) == 1


def test_the_reliability_of_labels_counts_decisions_and_has_no_least_probability():
    _, below = calibration_figure(Y, PROB, ["rust", "scab"], "multilabel", PRED).axes
    assert sum(bar.get_height() for bar in below.patches) == 8
    assert below.get_ylabel() == "label decisions"
    assert not below.texts
    assert calibration_figure(np.array([0, 1]), PROB[:2], ["a", "b"]).axes[1].texts


def test_grades_are_drawn_as_decided_in_their_order(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr("tasks.evaluation.plots.save", lambda figure, file: drawn.update({file.stem: figure}))
    likeliest_is_two = np.array([[0.42, 0.13, 0.45]])
    write_plots(tmp_path, np.array([1]), likeliest_is_two, ["10", "9", "8"], kind="ordinal")
    axes = drawn["confusion_matrix"].axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["10", "9", "8"]
    assert axes.images[0].get_array()[1].tolist() == [0, 1, 0]
    assert not dots(drawn["roc"])


@pytest.mark.parametrize(
    ("kind", "titles"),
    [
        ("multilabel", ["subset accuracy", "f1 macro", "roc auc", "ece"]),
        ("ordinal", ["accuracy", "quadratic kappa", "mean absolute error", "ece"]),
    ],
)
def test_the_panels_over_the_epochs_are_the_main_metrics_of_the_kind(kind, titles):
    assert [axes.get_title(loc="left") for axes in metrics_figure(HISTORY, kind).axes] == titles
