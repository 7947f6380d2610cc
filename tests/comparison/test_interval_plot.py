from __future__ import annotations

import math

import pytest

from tasks.comparison.report.interval_plot import place_intervals
from tasks.comparison.summary import summarise_folds

OPEN = (-math.inf, math.inf)


def summary(*series):
    return summarise_folds({"m": series}, n_train=[80] * len(series), n_test=[20] * len(series))["m"]


def test_places_follow_the_values_on_one_axis_for_all_rows():
    plot = place_intervals({"a": summary(0.2, 0.4), "b": summary(0.3, 0.3)}, OPEN)
    a, b = plot.rows
    assert a.low < a.folds[0] < a.mean < a.folds[1] < a.high
    assert a.mean == pytest.approx(b.mean, abs=0.002)
    assert a.mean - a.low == pytest.approx(a.high - a.mean, abs=0.01)
    ticks = {float(label): place for place, label in plot.ticks}
    (v1, p1), *_, (v2, p2) = sorted(ticks.items())
    assert a.mean == pytest.approx(p1 + (0.3 - v1) / (v2 - v1) * (p2 - p1), abs=0.05)


def test_everything_stands_on_the_plot_and_the_axis_ends_at_the_limits():
    plot = place_intervals({"a": summary(1.0, 1.0, 1.0), "b": summary(0.0, 0.1, 0.0)}, (-1.0, 1.0), reference=0.5)
    places = [p for row in plot.rows for p in (*row.folds, row.mean, row.low, row.high)] + [p for p, _ in plot.ticks]
    assert all(0 <= place <= 100 for place in places)
    assert max(float(label) for _, label in plot.ticks) <= 1.0
    assert 0 < plot.reference < 100


def test_a_reference_off_the_axis_is_left_out():
    assert place_intervals({"a": summary(0.9, 0.91)}, (0, 1), reference=0.01).reference is None


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 1234.5])
def test_one_lonely_value_has_an_axis_around_it(value):
    plot = place_intervals({"a": summary(value)}, (0.0, math.inf))
    assert plot.rows[0].mean == plot.rows[0].folds[0]
    assert len(plot.ticks) >= 2
    assert len({label for _, label in plot.ticks}) == len(plot.ticks)


def test_a_backbone_without_values_keeps_its_row():
    plot = place_intervals({"a": summary(0.5), "dead": None, "void": summary(None)}, (0, 1))
    assert [(row.name, row.mean) for row in plot.rows[1:]] == [("dead", None), ("void", None)]


def test_no_values_no_plot():
    assert place_intervals({"dead": None}, (0, 1)) is None
