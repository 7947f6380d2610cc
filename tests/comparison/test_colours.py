from __future__ import annotations

import re

from tasks.backbones.registry import names
from tasks.comparison.colours import PALETTE, RUN_COLOUR, run_colour


def test_each_backbone_has_a_colour_of_its_own_and_always_the_same():
    colours = [run_colour(name).values[RUN_COLOUR] for name in names()]
    assert len(set(colours)) == len(colours)
    assert colours == [run_colour(name).values[RUN_COLOUR] for name in names()]


def test_colours_are_written_as_mlflow_reads_them():
    assert len(set(PALETTE)) == len(PALETTE)
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in PALETTE)


def test_a_backbone_that_is_registered_no_more_has_a_colour_too():
    assert run_colour("of an older version").values[RUN_COLOUR] in PALETTE
