"""What docs/explanation.md says: its settings are the defaults, its tables the code's, its commands are understood."""

from __future__ import annotations

import re

import keras
import pytest
import yaml

from tasks.config import Explanation
from tasks.explanation.asked import MEASURED
from tasks.explanation.building import build_method
from tasks.explanation.controls import CONTROLS
from tasks.explanation.edge_looks import CODES, LEAST_EXCESS
from tasks.explanation.effort import passes_of
from tasks.explanation.faithfulness import LOWER_IS_BETTER, OVERALL, Plan
from tasks.explanation.limits import CODES as LIMITS
from tasks.explanation.limits import LEAST_PLACES
from tasks.explanation.location import BORDER, CORNER, area_shares
from tasks.explanation.measures import BLANK, FAITHFULNESS, INSIDE, PLACES, STEADINESS, TRUTH_COLUMNS
from tasks.explanation.methods import METHODS, get, names
from tasks.explanation.sanity import LARGEST_AGREEMENT
from tasks.workers.effort import LEAST_IMAGES, STAGES
from tasks.workers.fold_truth import STEPS
from tests.support.doc_pages import accepted, commands, page, snippets, understood

PAGE = page("docs/explanation.md")
SNIPPETS = snippets(PAGE)
COMMANDS = commands(PAGE)
SIDE = 224


def rows_below(heading: str) -> list[list[str]]:
    """Give the cells of the table whose first row is given."""
    body = PAGE.split(heading)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


@pytest.fixture(scope="module")
def network():
    """A network of 224 × 224 pixels with a layer of more channels than Score-CAM tries by default."""
    x = keras.Input((SIDE, SIDE, 3))
    y = keras.layers.Conv2D(70, 3, strides=32, activation="relu", name="last")(x)
    logits = keras.layers.Dense(2, name="logits")(keras.layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, keras.layers.Softmax(name="probabilities")(logits))


def method_row(name, model):
    method = get(name)
    passes = passes_of(build_method(name, model, "last", Explanation()), model)
    caution = f"fails sanity checks: {method.fails_sanity_checks}" if method.fails_sanity_checks else ""
    return [f"`{name}`", method.title, method.passes, f"{passes:,}", caution]


def test_the_table_of_methods_is_the_registrys(network):
    assert rows_below("| name | method |") == [method_row(name, network) for name in names()]


def test_every_method_has_its_source():
    for method in METHODS.values():
        assert re.search(rf"\b{re.escape(method.title)}:\s+[A-Z]\w+", PAGE, re.IGNORECASE), method.title


def test_the_settings_are_all_there_is_with_their_defaults():
    found = yaml.safe_load(SNIPPETS[0])["explanation"]
    assert found == Explanation().model_dump(mode="json")


@pytest.mark.parametrize("text", SNIPPETS, ids=range(len(SNIPPETS)))
def test_every_snippet_is_accepted(text):
    accepted(text)


def test_the_codes_are_the_findings():
    assert rows_below("| code | finds |") == [[f"`{code}`", finds] for code, finds in (CODES | LIMITS).items()]


def test_the_measures_are_those_that_are_logged_and_say_which_way_is_better():
    found = dict(rows_below("| measure | better |"))
    known = [*FAITHFULNESS, *(f"{OVERALL}_{control}" for control in CONTROLS), *STEADINESS, *PLACES, BLANK, *INSIDE]
    known.append("completeness_gap")
    assert [name.strip("`") for name in found] == known
    for name, better in found.items():
        if name.strip("`") in FAITHFULNESS:
            assert better.startswith("less" if name.strip("`").startswith(LOWER_IS_BETTER) else "more")
    assert set(FAITHFULNESS + STEADINESS) < set(TRUTH_COLUMNS)


def test_the_numbers_are_the_codes():
    border, corner = (f"{share:.0%}".replace("%", " %") for share in area_shares().values())
    for said in (
        f"(the outer tenth on each side, {border} of the",
        f"(a fifth of each side, {corner} of",
        f"takes {Plan(steps=STEPS).passes_an_image} passes for faithfulness, two maps for stability and up to {STAGES}",
        f"maps of the wholly random network may be {LARGEST_AGREEMENT} or more",
        f"The first {MEASURED} maps are measured",
        f"takes {Plan(steps=STEPS).own_passes} passes an image instead of {Plan(steps=STEPS).passes_an_image}",
        f"fewer than {LEAST_PLACES} rows or columns",
    ):
        assert said in " ".join(PAGE.split())
    assert (BORDER, CORNER, LEAST_EXCESS, LEAST_IMAGES) == (0.1, 0.2, 0.1, 4)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line):
    assert understood(line)["out"]
