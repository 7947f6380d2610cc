from __future__ import annotations

import pytest

from tasks.comparison.sections import MAKERS, sections_of
from tests.support.made_evidence import made_evidence


def broken_section(evidence):
    raise ZeroDivisionError("nobody\nwas there")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return made_evidence(tmp_path_factory.mktemp("runs"), {"vgg16": 1.0, "ncnn": 0.5}, n_draws=1000)


def test_a_part_that_fails_says_so_and_the_others_are_told(evidence, caplog):
    alone = sections_of(evidence, [MAKERS[0]])
    parts = sections_of(evidence, [broken_section, MAKERS[0]])
    assert parts[0].key == "broken"
    assert parts[0].sentences == ("This part could not be told, through a fault: ZeroDivisionError: nobody.",)
    assert parts[1].sentences == alone[0].sentences
    assert "ZeroDivisionError" in caplog.text


def test_no_part_fails(evidence):
    assert not [said for part in sections_of(evidence) for said in part.sentences if "through a fault" in said]
