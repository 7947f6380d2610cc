"""Sheets of what is right, wrong, of each class, and of what most backbones get wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.explanation import contact_sheet as drawn
from tasks.explanation import sheets
from tasks.explanation.drawing import RIGHT, WRONG
from tasks.explanation.sheet_row import SheetRow
from tasks.explanation.sheets import class_sheet, right_sheet, shared_mistakes_sheet, wrong_sheet

RED, BLUE, GREEN, GREY = (200, 30, 40), (20, 60, 210), (10, 180, 90), (90, 91, 92)


def flat(colour):
    return np.full((60, 60, 3), colour, np.uint8)


def row(good=True, image=RED, seen=None, **changes):
    known = {"name": "a.png", "true": ("face",), "predicted": ("face" if good else "other",), "probability": 0.9}
    seen = None if seen is None else flat(seen)
    return SheetRow(**{"image": flat(image), "overlay": flat(BLUE), "seen": seen, **known, **changes})


def area(sheet, colour):
    return int((np.asarray(sheet) == colour).all(axis=-1).sum())


def box(sheet, colour):
    found = np.argwhere((np.asarray(sheet) == colour).all(axis=-1))
    return (*found.min(axis=0), *found.max(axis=0))


@pytest.fixture
def notes(monkeypatch):
    told = []
    for module in (drawn, sheets):
        monkeypatch.setattr(module, "header", lambda *given, **_: told.append(given[2]))
    return told


def test_each_outcome_has_its_own_rows_only():
    rows = [row(True), row(False), row(False)]
    wrong, right = wrong_sheet(rows, title="t", side=60), right_sheet(rows, title="t", side=60)
    assert area(wrong, RED) == 2 * area(right, RED) == 2 * 52 * 52
    assert (np.asarray(wrong)[140:] == WRONG).all(axis=-1).any()
    assert not (np.asarray(wrong)[140:] == RIGHT).all(axis=-1).any()


def test_rows_keep_the_order_in_which_they_were_chosen():
    sheet = wrong_sheet([row(False, RED, probability=0.2), row(False, GREEN, probability=0.9)], title="t")
    assert box(sheet, RED)[0] < box(sheet, GREEN)[0]
    one = wrong_sheet([row(False, RED), row(False, GREEN)], title="t", most=1)
    assert area(one, RED)
    assert not area(one, GREEN)


def test_without_such_an_image_there_is_no_sheet():
    assert wrong_sheet([row(True)], title="t") is None
    assert right_sheet([row(False)], title="t") is None
    assert wrong_sheet([], title="t") is None
    assert class_sheet({"a": [], "b": []}, title="t") is None
    assert class_sheet({}, title="t") is None
    assert shared_mistakes_sheet([], {"vgg16": []}, title="t") is None


def test_the_note_tells_how_many_there_are_and_how_many_are_shown(notes):
    wrong_sheet([row(False)] * 3, title="t", n_wrong=37, n_images=500)
    wrong_sheet([row(False)] * 3, title="t", most=2)
    wrong_sheet([row(False)] * 2, title="t", n_images=9)
    wrong_sheet([row(False)], title="t", n_wrong=1)
    right_sheet([row(True)] * 2, title="t", n_right=8)
    assert notes == [
        "3 of 37 mistakes among 500 images, most confident first",
        "2 of 3 mistakes, most confident first",
        "all 2 mistakes among 9 images, most confident first",
        "the only mistake",
        "2 of 8 right predictions, most confident first",
    ]


def test_the_overlays_are_headed_by_their_method():
    one, other = (np.asarray(right_sheet([row()], title="t", method_title=name)) for name in ("Grad-CAM", "RISE"))
    differs = np.argwhere((one != other).any(axis=-1))
    assert len(differs)
    assert differs[:, 0].max() < 170


def test_a_class_has_original_preprocessed_and_overlay_beside_each_other():
    sheet = class_sheet({"face": [row(seen=GREEN)]}, title="t")
    original, seen, overlay = (box(sheet, colour) for colour in (RED, GREEN, BLUE))
    assert original[0] == seen[0] == overlay[0]
    assert original[3] < seen[1] <= seen[3] < overlay[1]


def test_without_preprocessed_pictures_their_column_is_left_out():
    with_seen, without = (class_sheet({"face": [row(seen=seen)]}, title="t", side=152) for seen in (GREEN, None))
    assert with_seen.width - without.width == 152 + 12
    mixed = class_sheet({"face": [row(seen=GREEN), row()]}, title="t")
    assert mixed.width == with_seen.width


def test_classes_stand_in_their_order_and_one_without_images_takes_a_line():
    sections = {"a": [row(image=RED)], "b": [], "c": [row(image=GREEN, good=False)] * 2}
    sheet = class_sheet(sections, title="t")
    assert box(sheet, RED)[2] < box(sheet, GREEN)[0]
    shorter = class_sheet({"a": sections["a"], "c": sections["c"]}, title="t")
    assert 0 < sheet.height - shorter.height < 80
    assert area(sheet, GREEN) == area(shorter, GREEN) == 2 * area(sheet, RED)


@pytest.mark.parametrize(("n_classes", "per_class"), [(1, 1), (2, 30), (5, 1), (25, 2), (60, 1), (3, 0.4)])
def test_any_number_of_classes_is_drawn_whole(n_classes, per_class):
    counts = [int(per_class * (1 + number % 3)) for number in range(n_classes)]
    sections = {f"class {number}": [row(seen=GREEN)] * count for number, count in enumerate(counts)}
    sheet = class_sheet(sections, title="t", side=40)
    assert area(sheet, RED) == area(sheet, GREEN) == area(sheet, BLUE) == sum(counts) * 32 * 32
    assert (np.asarray(sheet)[:, -20:] == 255).all()
    assert (np.asarray(sheet)[-12:] == 255).all()


def test_of_very_many_classes_the_first_are_drawn_and_that_is_said(notes):
    sections = {f"class {number}": [row()] for number in range(7)} | {"none": []}
    sheet = class_sheet(sections, title="t", side=60, max_classes=3)
    class_sheet(sections, title="t", side=60)
    class_sheet(sections, title="t", side=60, note="by the model that never saw it", max_classes=3)
    assert area(sheet, RED) == 3 * 52 * 52
    assert notes == [
        "3 images of 3 classes; the first 3 of 8 classes",
        "7 images of 7 of 8 classes",
        "by the model that never saw it; the first 3 of 8 classes",
    ]


def test_long_and_foreign_class_names_stay_inside_the_sheet():
    long = "Größenwahn mit Щука und sehr langem Namen " * 5
    sheet = np.asarray(class_sheet({long: [row(true=(long,), seen=GREY)], long[1:]: []}, title=long, note=long))
    assert (sheet[:, -20:] == 255).all()


def test_shared_mistakes_have_a_column_a_backbone_and_tell_their_number(notes):
    columns = {"vgg16": [row(False)] * 2, "ncnn": [row(False), None]}
    shared_mistakes_sheet([flat(RED)] * 2, columns, title="t", n_shared=9, n_images=40)
    shared_mistakes_sheet([flat(RED)] * 2, columns, title="t")
    assert notes == [
        "2 of 9 mistakes shared by most backbones among 40 images",
        "all 2 mistakes shared by most backbones",
    ]
