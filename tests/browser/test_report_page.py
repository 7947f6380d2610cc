"""The report in a real browser: on a laptop, on a phone and on paper."""

from __future__ import annotations

import base64
import re
import zlib

import pytest

from tasks.comparison.report.context import Sheet
from tasks.comparison.report.page import report_html
from tests.support.browser import chromium
from tests.support.made_report import HOSTILE, made_report, made_section, photograph

KEYS = ("statistics", "classes", "curves", "calibration", "errors", "cost")
LAPTOP, PHONE = 1440, 390
CUT = """[...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll, figure, svg')
  && one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map((one) => one.outerHTML)"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The page of five backbones on five folds with sheets as large as they come."""
    sizes = {"errors": (1500, 1800)}
    sections = [made_section(key, ("cat", "dog"), n_rows=80, picture=sizes.get(key, (300, 200))) for key in KEYS]
    sheets = [Sheet(f"Sheet {n}", photograph(1400, 2600, n)) for n in range(3)]
    path = tmp_path_factory.mktemp("large") / "report.html"
    path.write_text(report_html(made_report(sections, sheets=sheets)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The page of names that mean harm, some of whose folds failed."""
    sections = [made_section(key, HOSTILE) for key in KEYS]
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    warnings = ["A w" + "o" * 200 + "rd.", HOSTILE[0]]
    path.write_text(report_html(made_report(sections, labels=HOSTILE, failed=2, warnings=warnings)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The page of an experiment of which next to nothing is there."""
    path = tmp_path_factory.mktemp("bare") / "report.html"
    few = {"n_backbones": 1, "n_folds": 1, "failed": 1, "labels": ("cat",), "audit": None}
    path.write_text(report_html(made_report([], **few)), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser):
    def open_page(path, width=LAPTOP):
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        browser.open(path.as_uri())
        return browser

    yield open_page
    assert browser.faults == []
    assert [address for address in browser.requests if not address.startswith(("file:", "data:"))] == []


def test_a_large_experiments_page_stays_below_twenty_megabytes(large):
    assert 1_000_000 < large.stat().st_size < 20_000_000


@pytest.mark.parametrize("page", ["large", "hostile", "bare"])
@pytest.mark.parametrize("width", [LAPTOP, PHONE])
def test_pictures_are_there_and_nothing_is_cut_off(opened, request, page, width):
    browser = opened(request.getfixturevalue(page), width)
    assert browser.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0 && one.alt)")
    assert browser.evaluate("document.images.length") == {"large": 15, "hostile": 12, "bare": 0}[page]
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(CUT) == []


def test_wide_tables_scroll_on_a_phone_and_keep_their_names_in_sight(opened, large):
    browser = opened(large, PHONE)
    first = "document.querySelectorAll('#calibration .scroll')[1]"
    assert browser.evaluate(f"{first}.scrollWidth > {first}.clientWidth")
    browser.evaluate(f"{first}.scrollLeft = 150")
    name, box = (
        browser.evaluate(f"{first}{part}.getBoundingClientRect().left") for part in (".querySelector('tbody th')", "")
    )
    assert name == pytest.approx(box, abs=2)


def test_every_entry_of_the_contents_leads_to_its_part(opened, large):
    browser = opened(large)
    links = browser.evaluate("[...document.querySelectorAll('nav a')].map((one) => one.getAttribute('href'))")
    assert {f"#{key}" for key in KEYS} <= set(links)
    found = browser.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].every((one) => document.querySelector(one.hash))"
    )
    assert found
    assert browser.evaluate(
        "new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size"
    ) == browser.evaluate("document.querySelectorAll('[id]').length")


def test_names_that_mean_harm_are_shown_as_they_are(opened, hostile):
    browser = opened(hostile)
    assert browser.evaluate("document.querySelectorAll('main b b, main i, main script').length") == 0
    names = browser.evaluate("[...document.querySelectorAll('#calibration tbody th')].map((one) => one.textContent)")
    assert set(HOSTILE) <= set(names)


@pytest.mark.parametrize("harm", ["<img src=x onerror='window.harm=1'>", "<svg onload='window.harm=1'></svg>"])
def test_what_slipped_through_as_markup_could_run_nothing(opened, hostile, harm):
    browser = opened(hostile)
    browser.evaluate(f"document.body.insertAdjacentHTML('beforeend', {harm!r})")
    browser.evaluate("new Promise((done) => setTimeout(done, 300))")
    assert browser.evaluate("window.harm") is None
    assert any("Content Security Policy" in fault for fault in browser.faults)
    browser.faults.clear()


def test_the_page_prints_on_a4_with_each_part_on_a_page_of_its_own(opened, hostile):
    browser = opened(hostile)
    data = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    boxes = set(re.findall(rb"/MediaBox \[([\d. ]+)\]", data))
    [(_, _, width, height)] = [tuple(float(side) for side in box.split()) for box in boxes]
    assert (width, height) == pytest.approx((595, 842), abs=2)
    pages = len(
        re.findall(
            rb"/Type /Page\b", data + b"".join(map(_inflated, re.findall(rb"stream\r?\n(.*?)endstream", data, re.S)))
        )
    )
    assert pages > len(KEYS)
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.evaluate("getComputedStyle(document.querySelector('#calibration')).breakBefore") == "page"
        assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


def _inflated(stream):
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""
