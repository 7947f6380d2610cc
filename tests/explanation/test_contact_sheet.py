import numpy as np
import pytest
from skimage.data import lfw_subset

from tasks.explanation.contact_sheet import comparison_sheet, contact_sheet
from tasks.explanation.drawing import RIGHT, WRONG, fitted, fitted_labels, font, font_file, tile
from tasks.explanation.sheet_row import SheetRow

SIDE = 152
FACE = ("face",)
RED, BLUE, GREEN = (200, 30, 40), (20, 60, 210), (10, 180, 90)


def flat(colour, height=90, width=90):
    return np.full((height, width, 3), colour, np.uint8)


def row(image=RED, over=BLUE, right=True, **changes):
    known = {"name": "a.png", "true": ("face",), "predicted": ("face" if right else "other",), "probability": 0.93}
    return SheetRow(**{"image": flat(image), "overlay": flat(over), "fold": 2, **known, **changes})


def places(sheet, colour):
    return np.argwhere((np.asarray(sheet) == colour).all(axis=-1))


def box(sheet, colour):
    found = places(sheet, colour)
    return (*found.min(axis=0), *found.max(axis=0))


def test_the_original_stands_left_of_its_overlay_in_tiles_of_one_size():
    sheet = contact_sheet([row()], title="t")
    top, left, bottom, right = box(sheet, RED)
    over_top, over_left, over_bottom, over_right = box(sheet, BLUE)
    assert (top, bottom) == (over_top, over_bottom)
    assert right < over_left
    assert bottom - top == right - left == over_right - over_left
    assert SIDE - 12 < bottom - top < SIDE


def test_rows_stand_below_each_other_in_the_order_given():
    sheet = contact_sheet([row(RED), row(GREEN)], title="t")
    assert box(sheet, RED)[2] < box(sheet, GREEN)[0]
    assert box(sheet, RED)[1] == box(sheet, GREEN)[1]


def test_small_and_large_pictures_fill_the_same_tile_with_their_aspect_kept():
    sheet = contact_sheet([row(image=RED), row(image=RED)], title="t")
    rows = [row(image=RED), row()]
    for height, width in ((25, 25), (3000, 3000)):
        rows[1] = SheetRow(flat(RED, height, width), flat(BLUE, height, width), "b", FACE, FACE, 0.5)
        found = contact_sheet(rows, title="t")
        assert box(found, RED) == box(sheet, RED)
    wide = SheetRow(flat(GREEN, 30, 90), flat(BLUE, 30, 90), "b", FACE, FACE, 0.5)
    top, left, bottom, right = box(contact_sheet([wide], title="t"), GREEN)
    assert right - left == pytest.approx(3 * (bottom - top), abs=5)


def test_a_real_picture_is_found_again_in_its_tile():
    face = np.repeat((lfw_subset()[0] * 255).astype(np.uint8)[..., None], 3, axis=-1)
    sheet = contact_sheet([row(), SheetRow(face, flat(BLUE), "b", FACE, FACE, 0.5)], title="t")
    top, left, bottom, right = box(sheet, RED)
    step = SIDE + 12
    found = np.asarray(sheet.crop((left, top + step, right + 1, bottom + 1 + step)).resize((25, 25)))
    assert np.corrcoef(found.ravel(), face.ravel())[0, 1] > 0.98


def test_right_and_wrong_differ_by_more_than_colour():
    sheets = {good: np.asarray(contact_sheet([row(right=good)], title="t")) for good in (True, False)}
    assert len(places(sheets[False], WRONG)) > len(places(sheets[True], WRONG))
    assert len(places(sheets[True], RIGHT)) > len(places(sheets[False], RIGHT))
    top, left, _, right = box(sheets[True], BLUE)
    above = {good: sheet[top - 2, left:right] for good, sheet in sheets.items()}
    assert len(np.unique(above[True], axis=0)) == 1
    assert len(np.unique(above[False], axis=0)) == 2


def test_many_rows_are_set_in_blocks_and_every_one_is_drawn():
    rows = [row(right=number % 3 > 0) for number in range(200)]
    sheet = contact_sheet(rows, title="t", side=60)
    assert sheet.height < 4 * sheet.width
    area = 60 - 8
    assert len(places(sheet, RED)) == len(places(sheet, BLUE)) == 200 * area * area


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 12, 13])
def test_any_number_of_rows_fits(count):
    sheet = contact_sheet([row()] * count, title="t", side=60)
    assert len(places(sheet, RED)) == count * 52 * 52
    assert (np.asarray(sheet)[:, -20:] == 255).all()
    assert (np.asarray(sheet)[-20:] == 255).all()


def test_long_and_foreign_texts_stay_inside_the_sheet():
    long = "Größenwahn mit Щука und sehr langem Namen " * 5
    rows = [row(true=(long,), predicted=(long,), name=f"{long}/{long}.png", probability=1.0)] * 2
    sheet = np.asarray(contact_sheet(rows, title=long, note=long, column_titles=(long, long)))
    assert (sheet[:, -20:] == 255).all()
    compared = np.asarray(comparison_sheet([flat(RED)], {long: rows[:1]}, title=long, note=long))
    assert (compared[:, -20:] == 255).all()


def test_the_legend_has_the_colours_of_the_map():
    sheets = [np.asarray(contact_sheet([row()], title="t", colormap=name)) for name in ("inferno", "jet")]
    differs = np.argwhere((sheets[0] != sheets[1]).any(axis=-1))
    assert differs[:, 0].max() < 140
    assert np.ptp(differs[:, 1]) > 100


def test_the_comparison_has_one_column_a_backbone_and_the_same_images_in_rows():
    images = [flat(RED), flat(GREEN)]
    columns = {"vgg16": [row(over=BLUE), row(over=BLUE)], "ncnn": [row(over=(1, 2, 3)), None]}
    sheet = comparison_sheet(images, columns, title="t")
    assert box(sheet, RED)[3] < box(sheet, BLUE)[1]
    assert box(sheet, BLUE)[3] < box(sheet, (1, 2, 3))[1]
    assert box(sheet, RED)[2] < box(sheet, GREEN)[0]
    assert box(sheet, (1, 2, 3))[0] == box(sheet, RED)[0]
    assert len(places(sheet, BLUE)) == 2 * len(places(sheet, (1, 2, 3)))


def test_sheets_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([], title="t")
    for images, columns in (([], {"a": []}), ([flat(RED)], {}), ([flat(RED)], {"a": [row(), row()]})):
        with pytest.raises(ValueError, match="one row an image"):
            comparison_sheet(images, columns, title="t")


def test_a_text_is_cut_in_its_middle_only_where_it_is_too_wide():
    face = font(14)
    assert fitted("short", face, 200) == "short"
    cut = fitted("beginning of a long text and its end", face, 120)
    assert face.getlength(cut) <= 120
    assert cut.startswith("be")
    assert cut.endswith("nd")
    assert "…" in cut


def test_of_many_labels_the_first_are_listed_whole_and_the_others_counted():
    face, labels = font(11, bold=True), ("complex", "frog eye leaf spot", "powdery mildew", "rust", "scab")
    assert fitted_labels(labels, face, 1000) == ", ".join(labels)
    for width in (60, 90, 138, 200, 300):
        found = fitted_labels(labels, face, width)
        assert face.getlength(found) <= width
        listed, _, more = found.rpartition(" +")
        if "…" not in found:
            names = listed.split(", ")
            assert tuple(names) == labels[: len(names)]
            assert int(more) == len(labels) - len(names)
    assert fitted_labels(labels, face, 90) == "complex +4"
    assert fitted_labels(("a label",), face, 90) == "a label"


def test_a_label_that_is_explained_though_it_is_not_all_that_is_predicted_is_named():
    several = {"true": ("rust", "scab"), "predicted": ("rust", "scab")}
    plain, told = row(**several), row(**several, explained="scab")
    assert (plain.certainty, told.certainty) == ("93 %", "scab · 93 %")
    assert told.right
    assert not row(true=("rust", "scab"), predicted=("rust",), explained="rust").right
    one, other = (contact_sheet([r], title="t") for r in (plain, told))
    assert one.size == other.size
    assert one.tobytes() != other.tobytes()
    one, other = (comparison_sheet([flat(RED)], {"a": [r]}, title="t") for r in (plain, told))
    assert one.width == other.width
    assert one.height < other.height


def test_a_tile_of_one_colour_stays_that_colour():
    np.testing.assert_array_equal(np.asarray(tile(flat(RED, 25, 25), 100)), flat(RED, 100, 100))
    np.testing.assert_array_equal(np.asarray(tile(flat(RED, 1, 4000), 100))[49], flat(RED, 100, 100)[49])


def test_probabilities_are_told_without_rounding_to_certainty_or_to_nothing():
    told = [row(probability=p).certainty for p in (0.0, 0.004, 0.005, 0.504, 0.9949, 0.9999, 1.0, float("nan"))]
    assert told == ["0 %", "below 1 %", "below 1 %", "50 %", "99 %", "99.9 %", "100.0 %", "not known"]


def test_a_row_without_a_probability_is_drawn_without_a_bar():
    known, unknown = (np.asarray(contact_sheet([row(probability=p)], title="t")) for p in (0.9, float("nan")))
    assert len(places(unknown, BLUE)) == len(places(known, BLUE))
    assert len(places(unknown, RIGHT)) < len(places(known, RIGHT))


@pytest.mark.parametrize(("length", "whole"), [(50, True), (120, False)])
def test_a_note_too_long_for_a_narrow_sheet_is_written_smaller_before_it_is_cut(length, whole):
    notes = ["e" * (length // 2) + middle + "e" * (length // 2) for middle in "ac"]
    sheets = [comparison_sheet([flat(RED)], {"a": [row()]}, title="t", note=note) for note in notes]
    assert (sheets[0].tobytes() != sheets[1].tobytes()) == whole
    assert (np.asarray(sheets[0])[:, -20:] == 255).all()


def test_what_is_said_of_a_map_stands_over_its_overlay_and_nowhere_else():
    plain, told = row(), row(remark="shows nothing")
    for draw in (
        lambda r: contact_sheet([r], title="t"),
        lambda r: comparison_sheet([flat(RED)], {"a": [r]}, title="t"),
    ):
        one, other = (np.asarray(draw(own)).astype(int) for own in (plain, told))
        changed = np.argwhere((one != other).any(axis=-1))
        top, left, bottom, right = box(draw(plain), BLUE)
        assert (changed >= (top + (bottom - top) // 2, left)).all()
        assert (changed <= (bottom, right)).all()


def test_few_backbones_stand_in_blocks_beside_each_other_in_the_order_of_the_images():
    images = [flat(RED), *[flat((90, 90, 90))] * 10, flat(GREEN)]
    sheet = comparison_sheet(images, {"a": [row()] * 12}, title="t")
    assert 0.5 < sheet.width / sheet.height < 2
    assert box(sheet, RED)[1] < box(sheet, GREEN)[1]
    many = comparison_sheet(images, {str(number): [row()] * 12 for number in range(9)}, title="t")
    assert box(many, RED)[1] == box(many, GREEN)[1]
    assert box(many, RED)[0] < box(many, GREEN)[0]


def test_letters_that_the_usual_font_lacks_are_written_in_one_that_has_them():
    usual = font_file(frozenset("Ölß✓Ж"))
    assert usual.endswith("DejaVuSans.ttf")
    assert font_file(frozenset("Öl"), bold=True).endswith("DejaVuSans-Bold.ttf")
    rare = "d\u1d81"  # a letter with a hook, which DejaVu lacks and STIX has; both come with matplotlib
    assert font_file(frozenset(rare)) != usual
    assert font(14, text=rare).path == font_file(frozenset(rare))
    assert font_file(frozenset("\U0010fffd")) == font(14, text="\U0010fffd d").path == usual
