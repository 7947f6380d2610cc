"""The gallery page in a real browser, as people use it."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from tasks.explanation.gallery_page import write_gallery_page
from tasks.explanation.overlays import colour_table
from tests.support.browser import chromium
from tests.support.gallery_rows import CLASSES, example_map, example_picture, example_rows

READY = "document.documentElement.dataset.ready === 'yes'"
DRAWN = "drawn.size && [...document.querySelectorAll('.card .picture')].every((box) => box.dataset.drawn)"
BACKBONES = ("vgg16", "resnet50", "senet50", "inceptionv3", "ncnn")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A page of 2,000 images and five backbones, with its table."""
    path, rows = tmp_path_factory.mktemp("large") / "explanations.html", example_rows(2000, BACKBONES)
    write_gallery_page(path, rows, example_picture, example_map, title="Animals")
    return path, rows


@pytest.fixture
def opened(browser, large):
    path, rows = large
    browser.open(path.as_uri())
    browser.wait(READY)
    yield browser, rows
    assert browser.faults == []


@pytest.fixture
def small(browser, tmp_path):
    """Opens a page of its own; what is given goes to `write_gallery_page`."""

    def open_page(rows, picture=example_picture, heat=example_map, **more):
        path = tmp_path / "explanations.html"
        write_gallery_page(path, rows, picture, heat, **({"title": "Animals"} | more))
        browser.open(path.as_uri())
        browser.wait(READY)
        browser.wait(DRAWN)
        return browser

    yield open_page
    assert browser.faults == []


def choose(browser, name, value):
    browser.evaluate(
        f"(byId('{name}').value = {value!r}, byId('{name}').dispatchEvent(new Event('input', {{ bubbles: true }})))"
    )


def option(browser, name, text):
    return browser.evaluate(f"[...byId('{name}').options].find((one) => one.text === {text!r}).value")


def counted(browser):
    """The number of predictions that the page says it shows."""
    return int(browser.evaluate("byId('count').textContent").split(" of ")[0].replace(",", ""))


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({selector!r}).textContent")


def test_ten_thousand_predictions_load_and_only_what_is_seen_is_decoded(opened, large):
    browser, _ = opened
    assert browser.evaluate("byId('count').textContent") == "10,000 of 10,000 predictions, 2,000 images"
    browser.wait(DRAWN)
    assert set(browser.requests) <= {large[0].as_uri()} | {url for url in browser.requests if url.startswith("data:")}
    assert browser.evaluate("document.querySelectorAll('.card').length") < 80
    assert (
        0
        < browser.evaluate("sheets.values.size")
        <= 80
        < browser.evaluate("document.querySelectorAll('[id^=sheet]').length")
    )
    assert large[0].stat().st_size < 40e6
    assert browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 15_000  # usually below 1 s


def test_the_end_of_the_page_is_reached_and_drawn(opened):
    browser, _ = opened
    browser.press("End")
    browser.wait(f"selected === 9999 && drawn.has(9999) && {DRAWN}")
    assert browser.evaluate("document.querySelectorAll('.card').length") < 80
    box = browser.evaluate("drawn.get(9999).getBoundingClientRect().toJSON()")
    assert 0 < box["top"] < box["bottom"] <= browser.evaluate("innerHeight")
    assert browser.evaluate("sheets.values.size") <= 80


def test_each_filter_leaves_what_it_should(opened):
    browser, rows = opened
    for name, column, wanted in (
        ("true", "true", CLASSES[3]),
        ("predicted", "predicted", "owl"),
        ("backbone", "backbone", "senet50"),
        ("fold", "fold", 3),
    ):
        choose(browser, name, option(browser, name, str(wanted)))
        assert counted(browser) == (rows[column] == wanted).sum()
        choose(browser, name, "")
    choose(browser, "outcome", "0")
    assert counted(browser) == (~rows["right"]).sum()
    choose(browser, "outcome", "1")
    choose(browser, "low", "40")
    choose(browser, "high", "62.5")
    assert counted(browser) == (rows["right"] & rows["probability"].between(0.4, 0.625)).sum()
    choose(browser, "name", "FUCHS/0001")
    chosen = (
        rows["right"] & rows["probability"].between(0.4, 0.625) & rows["image"].str.contains("fuchs/0001", case=False)
    )
    assert counted(browser) == chosen.sum() > 0


def test_filters_are_taken_together_and_reset(opened):
    browser, rows = opened
    choose(browser, "true", option(browser, "true", "cat"))
    choose(browser, "predicted", option(browser, "predicted", "dog"))
    choose(browser, "backbone", option(browser, "backbone", "ncnn"))
    chosen = (rows["true"] == "cat") & (rows["predicted"] == "dog") & (rows["backbone"] == "ncnn")
    assert counted(browser) == chosen.sum() > 0
    choose(browser, "outcome", "1")
    assert counted(browser) == 0
    assert not browser.evaluate("byId('none').hidden")
    browser.press("Enter")
    assert not browser.evaluate("byId('detail').open")
    browser.evaluate("byId('reset').click()")
    assert counted(browser) == 10_000


def test_confident_mistakes_come_first(opened):
    browser, rows = opened
    wrong = rows[~rows["right"]].sort_values("probability", ascending=False)
    first = browser.evaluate("shown.slice(0, 20).map((card) => [images.name[cards.image[card]], backboneOf(card)])")
    assert first[:3] == wrong[["image", "backbone"]].head(3).to_numpy().tolist()
    for order, ascending in (("surest", False), ("unsure", True)):
        choose(browser, "order", order)
        found = browser.evaluate("shown.map((card) => cards.probability[card])")
        assert found == sorted(rows["probability"], reverse=not ascending)


def test_keys_step_through_the_pictures_and_open_one(opened):
    browser, _ = opened
    columns = browser.evaluate("columns")
    for key, place in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowUp", 1),
    ):
        browser.press(key)
        browser.wait(f"selected === {place}")
        assert browser.evaluate("document.querySelectorAll('.card.selected').length") == 1
    browser.press("Enter")
    browser.wait("byId('detail').open")
    names = [text(browser, "#detail-name")]
    browser.press("ArrowRight")
    browser.wait(f"byId('detail-name').textContent !== {names[0]!r}")
    assert browser.evaluate("byId('detail-name').textContent === images.name[cards.image[shown[2]]]")
    browser.press("Escape")
    browser.wait("!byId('detail').open")
    assert browser.evaluate("selected") == 2


def test_a_long_way_down_by_keys_stays_in_view(opened):
    browser, _ = opened
    for _ in range(12):
        browser.press("ArrowDown")
    browser.wait(f"selected === 12 * columns && {DRAWN}")
    box = browser.evaluate("drawn.get(selected).getBoundingClientRect().toJSON()")
    tools = browser.evaluate("byId('tools').getBoundingClientRect().bottom")
    assert tools <= box["top"] < box["bottom"] <= browser.evaluate("innerHeight")


def test_typing_in_a_field_does_not_step(opened):
    browser, _ = opened
    browser.evaluate("byId('name').focus()")
    for key in ("m", "ArrowRight"):
        browser.press(key)
    assert browser.evaluate("selected") == 0
    assert browser.evaluate("byId('strength').value") == "40"


def test_the_strength_of_the_maps_can_be_changed_and_turned_off(opened):
    browser, _ = opened
    browser.wait(DRAWN)
    opacity = "getComputedStyle(document.querySelector('.card .heat')).opacity"
    assert browser.evaluate(opacity) == "0.4"
    choose(browser, "strength", "75")
    assert browser.evaluate(opacity) == "0.75"
    assert text(browser, "#percent") == "75 %"
    browser.press("m")
    browser.wait(f"{opacity} === '0'")
    browser.press("m")
    browser.wait(f"{opacity} === '0.75'")


def test_one_image_is_shown_by_every_backbone_and_method(small):
    browser = small(
        example_rows(6, BACKBONES[:3], ("gradcam", "rise")), heat=lambda row: None if row == 1 else example_map(row)
    )
    choose(browser, "backbone", option(browser, "backbone", "senet50"))
    choose(browser, "order", "image")
    browser.press("Enter")
    browser.wait(
        "byId('detail').open && [...byId('detail').querySelectorAll('.picture')].every((box) => box.dataset.drawn)"
    )
    heads = "[...document.querySelectorAll('#detail-table thead .caption > :first-child b')].map((b) => b.textContent)"
    assert browser.evaluate(heads) == list(BACKBONES[:3])
    assert browser.evaluate("document.querySelectorAll('#detail-table .picture').length") == 1 + 3 * 2
    assert browser.evaluate("document.querySelectorAll('#detail-table .heat').length") == 5
    assert browser.evaluate("[...document.querySelectorAll('#detail-table tbody th')].map((th) => th.textContent)") == [
        "gradcam",
        "rise",
    ]
    assert browser.evaluate("document.querySelectorAll('#detail-table td.chosen').length") == 2


def test_colours_are_those_of_the_overlay_and_pictures_those_of_the_file(small):
    red = np.full((64, 96, 3), (200, 30, 40), np.uint8)
    heat = np.linspace(0, 1, 9, dtype=np.float32).reshape(3, 3)
    browser = small(example_rows(1), lambda _: red, lambda _: heat, colormap="viridis", alpha=0.25)

    def pixels(canvas):
        height, width = (browser.evaluate(f"{canvas}.{name}") for name in ("height", "width"))
        dots = browser.evaluate(f"[...{canvas}.getContext('2d').getImageData(0, 0, {width}, {height}).data]")
        return np.array(dots).reshape(height, width, 4)

    coloured, photo = (pixels(f"document.querySelector('.card .{layer}')") for layer in ("heat", "photo"))
    table = colour_table("viridis").astype(int)
    for row in range(3):
        for column in range(3):
            found = coloured[(2 * row + 1) * len(coloured) // 6, (2 * column + 1) * coloured.shape[1] // 6]
            assert np.abs(table - found[:3]).sum(axis=1).argmin() == pytest.approx(256 * heat[row, column], abs=3)
            assert found[3] == 255
    assert photo.shape[:2] == (64, 96)
    assert np.abs(photo[:, :, :3] - red).max() <= 4
    assert browser.evaluate("getComputedStyle(document.querySelector('.card .heat')).opacity") == "0.25"
    np.testing.assert_array_equal(pixels("byId('legend')")[0, :, :3], table)


def test_maps_that_show_nothing_are_named_and_wrong_differs_by_word_and_frame(small):
    rows = example_rows(2).assign(right=[True, False], note=["<b>0.71</b>", None])
    browser = small(rows, heat=lambda _: np.zeros((7, 7)))
    assert text(browser, ".card .empty") == "shows nothing"
    cards = browser.evaluate("[...document.querySelectorAll('.card')].map((card) => card.innerText)")
    assert "✗ wrong" in cards[0]
    assert "✓ right" in cards[1]
    assert "<b>0.71</b>" in cards[1]
    frames = "[...document.querySelectorAll('.card .picture')].map((box) => getComputedStyle(box).borderTopStyle)"
    assert browser.evaluate(frames) == ["dashed", "solid"]


def test_a_map_of_one_value_is_named_and_one_of_several_is_not(small):
    flat, uneven = np.full((7, 7), 0.8), np.linspace(0.2, 1, 49).reshape(7, 7)
    browser = small(example_rows(2), heat=lambda row: (flat, uneven)[row])
    named = browser.evaluate("[...document.querySelectorAll('.card .empty')].map((box) => box.textContent)")
    assert named == ["the same everywhere"]


def test_texts_are_shown_as_they_are_and_never_run(small):
    evil = "</script><img src=x onerror=console.error(1)><b>&amp;"
    rows = example_rows(1).assign(image=evil, true=evil, predicted=evil, backbone=evil, note=evil)
    browser = small(rows, lambda _: np.zeros((9, 9, 3), np.uint8), title=evil, note=evil)
    assert text(browser, "h1") == evil
    assert evil in text(browser, ".card .caption")
    browser.press("Enter")
    browser.wait("byId('detail').open")
    assert text(browser, "#detail-name") == evil
    assert browser.evaluate("document.images.length") == 0


def test_it_works_in_a_frame_without_an_origin_as_mlflow_shows_it(browser, tmp_path):
    write_gallery_page(tmp_path / "page.html", example_rows(30, BACKBONES), example_picture, example_map, title="t")
    content = base64.b64encode((tmp_path / "page.html").read_bytes()).decode()
    (tmp_path / "viewer.html").write_text(
        "<!DOCTYPE html><iframe id=frame sandbox=allow-scripts width=1200 height=700></iframe><script>"
        f"const bytes = Uint8Array.from(atob('{content}'), (letter) => letter.charCodeAt(0));"
        "frame.src = URL.createObjectURL(new Blob([bytes], { type: 'text/html' }));</script>"
    )
    browser.open((tmp_path / "viewer.html").as_uri())
    with browser.frame() as frame:
        frame.wait(READY)
        frame.wait(DRAWN)
        assert frame.evaluate("self.origin") == "null"
        assert frame.evaluate("byId('count').textContent") == "150 of 150 predictions, 30 images"
        frame.press("ArrowRight")
        frame.press("Enter")
        frame.wait("byId('detail').open && selected === 1")
        assert frame.faults == []
    assert browser.faults == []


def test_filters_are_folded_up_in_a_small_frame_only(opened):
    browser, _ = opened
    assert browser.evaluate("byId('filters').open")
    try:
        browser.call("Emulation.setDeviceMetricsOverride", width=500, height=500, deviceScaleFactor=1, mobile=False)
        browser.wait("!byId('filters').open && columns === 3")
        assert browser.evaluate("byId('grid').scrollWidth <= byId('grid').clientWidth")
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")
    browser.wait("byId('filters').open && columns > 3")


def test_each_card_has_its_own_picture_to_the_pixel(small):
    rows = example_rows(20)

    def ramp(name):
        number = int(name.split("/")[1].split(".")[0])
        red = np.broadcast_to(4 * np.arange(60), (44, 60))
        return np.stack([red, np.full_like(red, 12 * number), np.zeros_like(red)], axis=-1).astype(np.uint8)

    browser = small(rows, ramp)
    choose(browser, "order", "image")
    browser.wait(f"{DRAWN} && drawn.has(13)")
    for place in (0, 1, 4, 8, 9, 13):
        canvas = f"drawn.get({place}).querySelector('.photo')"
        dots = browser.evaluate(f"[...{canvas}.getContext('2d').getImageData(0, 0, 60, 44).data]")
        found = np.array(dots).reshape(44, 60, 4)[:, :, :3]
        assert np.abs(found - ramp(rows["image"][place])).mean(axis=(0, 1)).max() < 2.5
