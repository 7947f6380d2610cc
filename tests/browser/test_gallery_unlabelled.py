"""The gallery page in a real browser for images without labels, which are neither right nor wrong."""

from __future__ import annotations

import pytest

from tasks.explanation.gallery_page import UNKNOWN, write_gallery_page
from tests.support.browser import chromium
from tests.support.gallery_rows import CLASSES, example_map, example_picture, example_rows


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlabelled")
    rows = example_rows(8, methods=("gradcam", "rise")).drop(columns=list(UNKNOWN))
    path = folder / "explanations.html"
    write_gallery_page(path, rows, example_picture, example_map, title="Animals")
    with chromium(folder) as browser:
        browser.open(path.as_uri())
        browser.wait("document.documentElement.dataset.ready === 'yes'")
        yield browser, rows.drop_duplicates("image")
        assert browser.faults == []


def test_nothing_is_called_right_or_wrong_and_no_fold_is_named(opened):
    browser, rows = opened
    text = browser.evaluate("document.getElementById('grid').textContent")
    assert not any(word in text for word in ("right", "wrong", "true", "fold", "undefined", "NaN"))
    assert all(text.count(name) == 1 for name in rows["image"])
    assert browser.evaluate("document.querySelectorAll('.picture.right, .picture.wrong, .mark').length") == 0


def test_filters_by_what_is_not_known_are_not_offered(opened):
    browser, _ = opened
    hidden = "[...document.querySelectorAll('label')].filter((one) => one.hidden).map((one) => one.control.id)"
    assert {"true", "outcome", "fold", "backbone"} <= set(browser.evaluate(hidden))
    assert "predicted" not in browser.evaluate(hidden)
    assert "mistakes" not in browser.evaluate("[...document.getElementById('order').options].map((one) => one.value)")


def test_the_most_confident_comes_first_and_filters_work(opened):
    browser, rows = opened
    first = browser.evaluate("images.name[cards.image[shown[0]]]")
    assert first == rows.sort_values("probability", ascending=False)["image"].iloc[0]
    number = browser.evaluate(f"data.labels.indexOf({CLASSES[1]!r})")
    browser.evaluate(f"byId('predicted').value = '{number}'; refresh(); 0")
    assert browser.evaluate("shown.length") == int((rows["predicted"] == CLASSES[1]).sum())
    browser.evaluate("reset(); 0")


def test_one_image_is_shown_by_all_methods_without_its_truth(opened):
    browser, rows = opened
    browser.evaluate("select(0); showDetail(); 0")
    assert browser.evaluate("document.querySelectorAll('#detail-table tbody tr').length") == 2
    assert browser.evaluate("byId('detail-true').textContent") == f"1 of {len(rows)} predictions"
    assert "fold" not in browser.evaluate("byId('detail-table').textContent")
    browser.evaluate("byId('detail').close(); 0")
