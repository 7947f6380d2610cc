from __future__ import annotations

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.report.context import AuditRow
from tasks.comparison.report.inline import Room
from tasks.comparison.report.page import marked, report_html
from tasks.comparison.report.parts import shown_parts
from tasks.comparison.section import Picture, Section, Table
from tests.support.made_report import HOSTILE, made_report, made_section


def part(key, **more):
    return Section(key, f"The part {key}", **({"sentences": (f"The answer of {key}.",)} | more))


def table(name, n_rows=3, **more):
    return Table(name, f"What {name} has.", pd.DataFrame({"a": range(n_rows)}), {"a": "A"}, **more)


def page(*sections, **more):
    return report_html(made_report(sections, n_backbones=2, n_folds=3, **more))


def places(html, *texts):
    return [html.index(text) for text in texts]


def test_parts_stand_in_the_order_given_with_statistics_first_and_cost_after_the_audit():
    html = page(*map(part, ("statistics", "errors", "another", "cost")))
    order = places(html, 'id="statistics"', 'id="folds"', 'id="errors"', 'id="another"', 'id="audit"', 'id="cost"')
    assert order == sorted(order)
    assert order[-1] < html.index('id="done"')


def test_warnings_come_first_and_each_once():
    html = page(part("statistics"), warnings=["The `images` leak.", "Few images.", "Few images."])
    assert html.count("Few images.") == 1
    assert "The <code>images</code> leak." in html
    assert html.index("Few images.") < html.index("The answer of statistics.") < html.index('id="ranking"')


def test_the_summary_is_the_primary_answer_and_then_each_parts_own():
    html = page(
        part("statistics", sentences=("It is not known.", "More.")), part("errors"), part("silent", sentences=())
    )
    summary = html[html.index('id="summary"') : html.index("<nav")]
    assert "It is not known." in summary
    assert '<a href="#errors">The part errors</a></dt><dd>The answer of errors.' in summary
    assert "More." not in summary
    assert "silent" not in summary
    assert "mean balanced accuracy" not in summary


def test_without_statistics_the_summary_goes_by_the_folds():
    html = page(part("errors"))
    assert "highest mean balanced accuracy" in html[html.index('id="summary"') : html.index("<nav")]


def test_tables_and_figures_are_numbered_as_they_come():
    parts = shown_parts(
        [
            part("cost", tables=(table("d"),)),
            part("statistics", tables=(table("a"), table("b"))),
            part("x", tables=(table("c"),)),
        ],
        {},
        Room(),
    )
    found = [
        number_and.name
        for own in (parts.first, parts.middle, parts.last)
        for one in own
        for _, number_and in one.tables
    ]
    numbers = [number for own in (parts.first, parts.middle, parts.last) for one in own for number, _ in one.tables]
    assert found == ["a", "b", "c", "d"]
    assert numbers == [1, 2, 3, 4]


def test_a_long_table_says_where_all_of_it_is():
    html = page(part("errors", tables=(table("list", 120, longest=30), table("short"))))
    assert "The first 30 of 120 rows; all of them are in <code>tables/list.csv</code>" in html
    assert "In <code>tables/short.csv</code>" in html
    assert '<th class="name" dir="auto">29</th>' in html
    assert '<th class="name" dir="auto">30</th>' not in html


def test_a_table_without_rows_says_so():
    assert "no rows" in page(part("errors", tables=(table("empty", 0),)))


def test_a_picture_without_room_is_told_of(monkeypatch):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)).save(file, "PNG")
    monkeypatch.setattr("tasks.comparison.report.page.Room", lambda: Room(1000))
    html = page(part("errors", pictures=(Picture("sheet", "A sheet.", file.getvalue()),)))
    assert "see <code>figures/sheet.png</code> beside it" in html
    assert "<img" not in html


def test_names_that_mean_harm_stay_text():
    html = page(*(made_section(key, HOSTILE) for key in ("statistics", "errors")), labels=HOSTILE)
    assert "<b>cat" not in html
    assert "49" not in html[html.index("<nav") : html.index("</nav>")]
    assert "&lt;b&gt;cat&lt;/b&gt;" in html
    assert "{{ 7 * 7 }}" in html


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("Set `a.b` so.", "Set <code>a.b</code> so."),
        ("`<i>`", "<code>&lt;i&gt;</code>"),
        ("One ` alone", "One ` alone"),
        ("{x} `{0}` %s", "{x} <code>{0}</code> %s"),
        ("", ""),
    ],
)
def test_what_stands_between_backticks_is_code(sentence, told):
    assert str(marked(sentence)) == told


def test_the_audit_is_told_in_short():
    rows = [
        AuditRow("stop", "duplicates.labels", "the same pixels under different labels", "Two of them: a, b.", 2),
        AuditRow("note", "images.tiny", "few pixels", "All of them: a, b, c.", 200),
    ]
    html = page(part("errors"), audit=rows)
    section = html[html.index('id="audit"') :]
    assert "Two of them: a, b." in section
    assert "All of them" not in section
    assert "grave" in section
    assert "audit.html" in section
    assert "The audit found nothing to tell." in page(part("errors"), audit=[])
    assert "The audit’s record is gone." in page(part("errors"), audit=None)


def test_what_was_done_can_be_done_again():
    html = page(part("errors"))
    done = html[html.index('id="done"') :]
    assert "foldcam run experiment.yaml" in done
    assert "numpy&nbsp;2.0" in done
    assert "d" * 64 in done
    assert "key_89: value" in done


@pytest.mark.parametrize("n_backbones", [0, 1])
def test_an_experiment_without_anything_to_compare_has_a_page(n_backbones):
    context = made_report([], n_backbones=n_backbones, n_folds=1, failed=n_backbones, labels=("cat",))
    html = report_html(dataclasses.replace(context, audit=None))
    assert "nothing to compare" in html
