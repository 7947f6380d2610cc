"""Coarse and blank maps are told, and what to do about them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tasks.explanation.limits import UNKNOWN, Limits, limits_of


def location(method, size, blank):
    rows, columns = size
    return pd.DataFrame({"method": method, "rows": rows, "columns": columns, "blank": blank})


def test_limits_are_those_of_each_method():
    table = pd.concat(
        [location("gradcam", (3, 5), [True, False, False, False]), location("saliency", (96, 96), [False])]
    )
    assert limits_of(table) == {"gradcam": Limits(3, 5, 0.25), "saliency": Limits(96, 96, 0.0)}
    assert limits_of(None) == limits_of(table.drop(columns="blank")) == {}


@pytest.mark.parametrize(("size", "coarse"), [((1, 1), True), ((3, 3), True), ((3, 9), True), ((4, 4), False)])
def test_fewer_than_four_rows_or_columns_are_coarse(size, coarse):
    assert Limits(*size, 0.0).coarse is coarse
    assert not UNKNOWN.coarse


def told(limits, method="gradcam", *, doubted=False):
    return " ".join(limits.told(method, doubted=doubted))


def test_a_fine_map_that_shows_something_and_is_believed_needs_no_words():
    assert told(Limits(7, 7, 0.0)) == told(UNKNOWN) == ""
    assert told(Limits(7, 7, math.nan)) == ""


def test_coarse_and_blank_maps_are_told():
    assert told(Limits(1, 1, 0.0), doubted=True) == "A map has one place for the whole picture and shows nothing."
    assert told(Limits(3, 3, 0.0)) == "A map has 3 × 3 places only."
    assert told(Limits(7, 7, 0.44), "layercam") == "44 % of the maps are blank."
    assert told(Limits(7, 7, 0.001)) == "Below 1 % of the maps are blank."


def test_other_methods_are_named_where_grad_cam_fails_and_its_layer_is_not_the_reason():
    hint = "try hirescam or layercam"
    assert hint in told(Limits(7, 7, 0.0), doubted=True)
    assert hint in told(Limits(7, 7, 0.44))
    assert hint not in told(Limits(7, 7, 0.02))
    assert hint not in told(Limits(2, 2, 0.44), doubted=True)
    assert hint not in told(Limits(7, 7, 0.44), "hirescam", doubted=True)
    assert np.isnan(UNKNOWN.blank)
