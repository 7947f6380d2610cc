from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Affine2D
from PIL import Image

from tasks.evaluation.decision_curve import decision_curve
from tasks.evaluation.decision_figures import decision_curve_figure, risk_coverage_figure
from tasks.evaluation.forecasts import Abstention, Forecasts
from tasks.evaluation.reliability import calibration_error, reliability_table
from tasks.evaluation.reliability_figure import reliability_figure
from tasks.evaluation.risk_coverage import risk_coverage
from tasks.evaluation.style import save

pytestmark = pytest.mark.filterwarnings("error")

LONG = [f"{letter * 40}_$x^$ {i}" for i, letter in enumerate("WiЖ")]


def drawn(n=300, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.beta(2, 1, n)
    return Forecasts(probability, rng.random(n) < probability, np.arange(n))


def overconfident(one):
    p = one.probability**3
    return one._replace(probability=p / (p + (1 - one.probability) ** 3))


def figures(names, n=300):
    some = [drawn(n, seed) for seed in range(len(names))]
    curves = {name: decision_curve(one, n_draws=50) for name, one in zip(names, some, strict=True)}
    risks = {
        name: risk_coverage(Abstention(one.probability, 1.0 - one.happened, one.groups), n_draws=50)
        for name, one in zip(names, some, strict=True)
    }
    return {
        "reliability": reliability_figure(dict(zip(names, some, strict=True))),
        "decision": decision_curve_figure(curves, LONG[0]),
        "risk": risk_coverage_figure(risks),
    }


@pytest.mark.parametrize("names", [["vgg16"], LONG])
def test_every_figure_fits_and_is_a_readable_picture(names, tmp_path):
    for name, figure in figures(names).items():
        FigureCanvasAgg(figure).draw()
        width, height = figure.bbox.size
        box = figure.get_tightbbox().transformed(Affine2D().scale(figure.dpi))
        assert (box.x0 >= 0, box.y0 >= 0, box.x1 <= width, box.y1 <= height) == (True,) * 4, name
        save(figure, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert len(set(picture.convert("L").resize((60, 60)).get_flattened_data())) > 5


def test_the_reliability_figure_shows_the_tables_bins_and_tells_the_error_and_its_chance():
    one = drawn()
    parts = {"before": overconfident(one), "after": one}
    figure = reliability_figure(parts)
    for axes, given in zip(figure.axes[:2], parts.values(), strict=True):
        error, table = calibration_error(given), reliability_table(given)
        assert f"ECE {error.value:.3f} (chance: up to {error.chance_high:.3f})" in axes.get_title(loc="left")
        dots = next(line for line in axes.lines if line.get_marker() == "o")
        np.testing.assert_allclose(dots.get_xydata(), table[["probability", "frequency"]])
        bars = axes.collections[0].get_segments()
        np.testing.assert_allclose([bar[:, 1] for bar in bars], table[["consistent_low", "consistent_high"]])
    assert sum(bar.get_height() for bar in figure.axes[2].patches) == len(one.probability)


def test_the_decision_figure_shows_the_model_between_all_and_none():
    figure = figures(["vgg16"])["decision"]
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["vgg16", "act on all", "act on none"]
    low, high = axes.get_ylim()
    assert low < 0 < high
    np.testing.assert_allclose(axes.lines[0].get_ydata(), decision_curve(drawn(), n_draws=2)["net_benefit"])


def test_the_risk_figure_tells_each_models_area():
    found = risk_coverage(Abstention(np.linspace(0.5, 1, 20), np.arange(20) < 5, np.arange(20)), n_draws=20)
    axes = risk_coverage_figure({"vgg16": found}).axes[0]
    assert axes.get_legend().get_texts()[0].get_text() == f"vgg16 (area {found.area.value:.3f})"
    np.testing.assert_allclose(axes.lines[0].get_xydata(), found.curve[["coverage", "risk"]])
    assert axes.get_ylim()[0] == 0


def test_too_few_groups_for_intervals_are_drawn_without():
    one = drawn(4)
    assert math.isnan(decision_curve(one)["low"][0])
    for figure in figures(["vgg16"], 4).values():
        FigureCanvasAgg(figure).draw()
