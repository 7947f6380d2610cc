from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.comparison.report.latex import LONGEST, latex_table, latex_text
from tasks.comparison.section import Table

COMMANDS = re.compile(r"\\(?:[a-z]+(?:\{\})?|[{}$&%#_,])|\$(?:\\[a-z]+|-|\^\\circ)\$|\{[\[\]*]\}")


def made(frame, caption="What was made", **more):
    return latex_table(Table("made", caption, frame, {name: name for name in frame}, **more))


def rows(text):
    """The rows of a table as lists of cells, heads first; a row ends in two backslashes."""
    body = text.split("\\toprule")[1].split("\\bottomrule")[0]
    lines = [line for line in body.split("\n") if line.endswith(r"\\")]
    return [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in lines]


@given(st.text(max_size=30))
def test_no_text_is_a_command(text):
    told = latex_text(text)
    left = COMMANDS.sub("", told)
    assert not set(left) & set('\\{}$&%#_^<>|"[]*'), told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (r"50 % of a_b & c", r"50 \% of a\_b \& c"),
        ("0.91 ± 0.02", r"0.91 $\pm$ 0.02"),
        ("−0.02 – 95\u00a0%", r"$-$0.02 -- 95~\%"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("süße Öle", "süße Öle"),
        ("a\nb\tc", "a b c"),
        ("-0.5 to -0.1", "$-$0.5 to $-$0.1"),
        ("2031-02-03", "2031-02-03"),
    ],
)
def test_signs_are_written_by_their_commands(text, told):
    assert latex_text(text) == told


def test_every_row_has_as_many_cells_as_there_are_columns():
    frame = pd.DataFrame({"a & b": ["x & y", "[1]", "*", r"\\"], "n_images": [1, 2, 3, 4], "%": [0.5, None, -1.0, 2.0]})
    text = made(frame)
    found = rows(text)
    assert [len(row) for row in found] == [3] * 5
    assert r"\begin{tabular}{lrr}" in text
    assert [row[0].strip()[:1] for row in found[2:4]] == ["{", "{"]
    assert [row[2].strip() for row in found[1:]] == ["0.500", "--", "$-$1.000", "2.000"]


def test_caption_and_label_name_the_table():
    text = made(pd.DataFrame({"a": [1]}), caption="50 % of all_images")
    assert r"\caption{50 \% of all\_images}" in text
    assert r"\label{tab:made}" in text
    assert text.startswith("% Needs \\usepackage{booktabs,amssymb}.\n")


def test_a_long_table_may_break_over_pages():
    assert "longtable" not in made(pd.DataFrame({"a": range(LONGEST)}))
    text = made(pd.DataFrame({"a": range(LONGEST + 1)}))
    assert text.count(r"\begin{longtable}{r}") == text.count(r"\end{longtable}") == 1
    assert "longtable}." in text.split("\n")[0]


def test_braces_and_environments_are_closed():
    frame = pd.DataFrame({"{": ["}", "\\end{table}", "$"], "x": ["%", "#", "~"]})
    text = made(frame).split("\n", 1)[1]
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert sorted(re.findall(r"\\begin\{(\w+)\}", text)) == sorted(re.findall(r"\\end\{(\w+)\}", text))


def test_columns_of_one_title_both_stay():
    frame = pd.DataFrame({"a": [1], "b": [2]})
    text = latex_table(Table("made", "What was made", frame, {"a": "95 % interval", "b": "95 % interval"}))
    assert [cell.strip() for cell in rows(text)[1]] == ["1", "2"]
