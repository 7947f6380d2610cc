"""Figures of panels with captions: any method, several classes of one image."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.explanation import class_figures
from tasks.explanation.class_figures import Panel, explained_panel, overlay_name, panel_figure, percent

COLOURS = [(200, 30, 40), (20, 60, 210), (10, 180, 90), (90, 91, 92), (201, 202, 9)]
PANELS = [Panel(np.full((50, 50, 3), colour, np.uint8), f"class {n}", "note") for n, colour in enumerate(COLOURS)]


def box(figure, colour):
    found = np.argwhere((np.asarray(figure) == colour).all(axis=-1))
    return (*found.min(axis=0), *found.max(axis=0))


def test_panels_stand_in_rows_of_three():
    figure = panel_figure(PANELS, title="t", note="n", side=120)
    boxes = [box(figure, colour) for colour in COLOURS]
    assert boxes[0][0] == boxes[1][0] == boxes[2][0] < boxes[3][0] == boxes[4][0]
    assert boxes[0][3] < boxes[1][1] < boxes[2][1]
    assert boxes[3][1::2] == boxes[0][1::2]
    assert {(b[2] - b[0] + 1, b[3] - b[1] + 1) for b in boxes} == {(120, 120)}


def test_captions_of_several_lines_have_room():
    plain = panel_figure(PANELS, title="t", note="n", side=120)
    lined = panel_figure([*PANELS[:4], Panel(PANELS[4].picture, "t", "one\ntwo\nthree")], title="t", note="n", side=120)
    assert lined.height - plain.height == 2 * (box(lined, COLOURS[3])[0] - box(plain, COLOURS[3])[0]) == 2 * 36
    below = np.asarray(lined)[box(lined, COLOURS[4])[2] + 1 :, box(lined, COLOURS[4])[1] :]
    assert len(np.unique(np.diff(np.flatnonzero((below < 200).any(axis=(1, 2)))))) > 1
    assert (np.asarray(lined)[-20:] == 255).all()


def test_a_figure_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one panel"):
        panel_figure([], title="t", note="n")


@pytest.mark.parametrize("n", [1, 2, 3, 4, 97])
def test_any_number_of_panels_is_drawn_whole(n):
    figure = panel_figure([PANELS[0]] * n, title="t" * 300, note="n" * 300, side=40)
    assert (np.asarray(figure) == COLOURS[0]).all(axis=-1).sum() == n * 40 * 40
    assert (np.asarray(figure)[:, -20:] == 255).all()


def test_the_caption_of_a_map_tells_class_probability_method_and_layer():
    picture = PANELS[0].picture
    whole = explained_panel(picture, "tabby", 0.731, method="Grad-CAM", layer="block5_conv3", blank=True)
    assert (whole.title, whole.note) == ("tabby", "73.1 % · Grad-CAM\nat block5_conv3\nno place speaks for it")
    assert explained_panel(picture, "tabby", None, method="RISE").note == "RISE"
    assert explained_panel(picture, "tabby", 0.0).note == "0.0 %"
    assert explained_panel(picture, "tabby", None).note == ""


def test_what_is_not_impossible_is_not_told_as_zero():
    assert [percent(p) for p in (0, 1e-9, 0.0005, 0.5, 1)] == ["0.0 %", "below 0.1 %", "0.1 %", "50.0 %", "100.0 %"]


def test_overlays_have_names_that_a_file_system_takes():
    assert overlay_name(1, "tabby, tabby cat", "png") == "0001_tabby_tabby_cat.png"
    assert overlay_name(12, "a/b\\c:d?", "jpeg") == "0012_a_b_c_d_.jpg"
    assert len(overlay_name(3, "é" * 400, "png").encode()) < 200


def test_the_legend_has_the_colours_of_the_setting(monkeypatch):
    told = []
    monkeypatch.setattr(class_figures, "header", lambda *given, **named: told.append((given[3], named["marks"])))
    panel_figure(PANELS, title="t", note="n", colormap="jet")
    panel_figure(PANELS, title="t", note="n")
    assert told == [("jet", False), ("inferno", False)]
