"""What docs/comparison.md and docs/predict.md say: settings are the defaults, files and metrics those that are made."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from tasks.comparison.costs import MEASURED, Cost
from tasks.comparison.sections import sections_of
from tasks.comparison.statistics.paired import LEAST_GROUPS
from tasks.config import Champion, Comparison
from tests.support.doc_pages import accepted, commands, page, snippets, understood
from tests.support.made_evidence import made_evidence
from tests.support.pictured_evidence import pictured

PAGE, PREDICT, README = (page(name) for name in ("docs/comparison.md", "docs/predict.md", "README.md"))
SNIPPETS = [*snippets(PAGE), *snippets(PREDICT)]
COMMANDS = [line for text in (PAGE, PREDICT, README) for line in commands(text)]
NAMED = set(re.findall(r"`([^`\n]+)`", PAGE))
OF_THE_RUN = {"comparison", "promotion", "model_card", "report", "shared_mistakes", "mistakes", "NAME"}
"""Files that no part of the comparison makes by itself."""
BACKBONES = {"ncnn": 1.0, "vgg16": 0.5, "resnet50": 0.7}


def matches(pattern: str, name: str) -> bool:
    """Tell whether a name is what the page writes with `<…>` and `…` for what differs."""
    return re.fullmatch(re.sub(r"<\w+>|…", ".+", pattern), name) is not None


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    """The parts of a comparison in which there is something to tell of everything."""
    root = tmp_path_factory.mktemp("all")
    made = made_evidence(root, BACKBONES, n=120, n_holdout=30, classes=("a", "b"), n_draws=1000, spread=3.0)
    history = pd.DataFrame({"epoch": [0, 1], "train/loss": [1.0, 0.5], "val/loss": [1.0, 0.7]})
    for own in made.results.values():
        for fold in own.finished:
            history.to_csv(root / str(fold.run_id) / "history.csv", index=False)
    cost = Cost(dict.fromkeys(MEASURED, 1.0), "2 cores", "CPU")
    made = replace(pictured(made, site=["here", "there"] * 75), costs=dict.fromkeys(made.results, cost))
    return sections_of(made)


@pytest.mark.parametrize("text", SNIPPETS, ids=range(len(SNIPPETS)))
def test_every_snippet_is_accepted(text):
    accepted(text)


def test_the_settings_are_all_there_are_with_their_defaults():
    found = yaml.safe_load(SNIPPETS[0])
    assert found == {
        "comparison": Comparison().model_dump(mode="json"),
        "champion": Champion().model_dump(mode="json"),
    }


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line):
    understood(line)


def test_every_table_figure_and_file_is_on_the_page_and_nothing_else(sections):
    files = {match[1] for name in NAMED if (match := re.fullmatch(r"(?:\w+/)?([\w<>]+)\.(csv|png|parquet|json)", name))}
    files |= {match[1] for name in NAMED if (match := re.fullmatch(r"figures/([\w<>]+)", name))}
    made = {part.name for own in sections for part in (*own.tables, *own.drawings, *own.pictures)}
    made |= {name.rpartition("/")[2].rpartition(".")[0] for own in sections for name in own.files}
    assert {name for name in made if not any(matches(own, name) for own in files)} == set()
    assert {own for own in files - OF_THE_RUN if not any(matches(own, name) for name in made)} == set()


def test_every_metric_is_on_the_page_and_nothing_else(sections):
    families = (
        "abstaining|calibrated|calibration|ensemble_all|ensemble_greedy|errors|subgroups|suspect_labels|thresholds"
    )
    named = {name for name in NAMED if re.match(rf"({families})/", name)} | {"oof/<metric>_ci_low"}
    made = {key for own in sections for values in own.backbone_metrics.values() for key in values}
    made |= {key for own in sections for key in own.metrics if key.partition("/")[0] not in BACKBONES}
    made = {key.replace("_ci_high", "_ci_low") for key in made}
    assert all(any(matches(own, key) for key in made) for own in named)
    alike = {own.replace("specificity_at_sensitivity_95", "…") for own in named}
    assert {key for key in made if not any(matches(own, key) for own in alike)} == set()


def test_the_numbers_are_the_codes():
    text = " ".join(PAGE.split())
    assert f"**fewer than {LEAST_GROUPS} groups**" in text
    assert f"on {LEAST_GROUPS} groups or more" in text
