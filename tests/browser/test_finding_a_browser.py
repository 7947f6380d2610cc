"""A machine without a browser: tests of pages are skipped there, but never where `.ci/run` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import browser

HERE = Path(__file__).parents[2]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine whose path is an empty folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "PLACES", ())
    monkeypatch.delenv(browser.NEEDED, raising=False)
    return tmp_path


@pytest.mark.parametrize("name", browser.NAMES)
def test_a_browser_is_found_under_each_of_its_names(bare, name):
    (bare / name).write_text("#!/bin/sh\n")
    (bare / name).chmod(0o755)
    assert browser.program() == str(bare / name)


def test_without_one_the_test_is_skipped_with_the_reason(bare):
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        browser.program()


def test_without_one_the_test_fails_where_a_browser_is_needed(bare, monkeypatch):
    monkeypatch.setenv(browser.NEEDED, "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        browser.program()


def test_ci_needs_a_browser_and_looks_for_the_same_names():
    script = (HERE / ".ci" / "run").read_text(encoding="utf-8")
    assert f"export {browser.NEEDED}=1\n" in script
    assert f"for name in {' '.join(browser.NAMES)}; do\n" in script
