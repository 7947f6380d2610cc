from __future__ import annotations

import json

import pytest

from flows.printing import console, print_json, say


def test_json_is_one_object_that_reads_back_and_keeps_its_letters(capsys):
    value = {"name": "Öl", "values": [1, None, 0.5]}
    print_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert "Öl" in out
    assert out.endswith("}\n")


def test_what_json_cannot_hold_is_an_error_and_nothing_is_printed(capsys):
    with pytest.raises(ValueError, match="JSON"):
        print_json({"value": float("nan")})
    assert capsys.readouterr().out == ""


def test_lines_and_tables_stand_where_they_belong(capsys):
    say("a line")
    console(stderr=True).print("a table")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("a line\n", "a table\n")
