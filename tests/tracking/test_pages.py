from __future__ import annotations

import json

import pytest
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from tasks.tracking.pages import MARK, ROOM, Pages
from tasks.tracking.views import PREFIX, views_of

VIEWS = views_of("accuracy", higher_is_better=True)


@pytest.fixture
def pages(client, runs):
    return Pages(client, runs.experiment_id)


def tags_of(client, pages):
    return client.get_experiment(pages.experiment_id).tags


def note_of(client, run_id):
    return client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE)


def test_offered_views_stand_in_the_experiments_tags_and_are_written_once(client, pages):
    pages.offer(VIEWS)
    first = tags_of(client, pages)
    assert {name for name in first if name.startswith(PREFIX)} == {view.tag for view in VIEWS}
    assert json.loads(first[VIEWS[0].tag])["state"] == VIEWS[0].state()
    pages.offer(VIEWS)
    assert tags_of(client, pages) == first


def test_descriptions_replace_their_own_and_end_with_a_mark(client, pages, run_id):
    for text in ("first", "second"):
        pages.describe(text)
        pages.describe_run(run_id, text)
        assert tags_of(client, pages)[MLFLOW_RUN_NOTE] == note_of(client, run_id) == text + MARK


def test_a_first_description_replaces_none(client, pages):
    for text in ("first", "second"):
        pages.describe(text, first=True)
        assert tags_of(client, pages)[MLFLOW_RUN_NOTE] == "first" + MARK


def test_what_people_have_written_stays(client, pages, run_id):
    client.set_experiment_tag(pages.experiment_id, MLFLOW_RUN_NOTE, "our own words")
    client.set_tag(run_id, MLFLOW_RUN_NOTE, "mine")
    pages.describe("foldcam's")
    pages.describe_run(run_id, "foldcam's")
    assert tags_of(client, pages)[MLFLOW_RUN_NOTE] == "our own words"
    assert note_of(client, run_id) == "mine"


def test_the_longest_description_fits(client, pages, run_id):
    pages.describe_run(run_id, "x" * ROOM)
    assert len(note_of(client, run_id)) == 8000
    pages.describe("x" * ROOM)


def test_the_artifacts_of_a_run_are_named(client, pages, run_id):
    assert pages.artifacts(run_id) == set()
    client.log_text(run_id, "a", "report.html")
    client.log_text(run_id, "a", "plots/b.txt")
    assert pages.artifacts(run_id) == {"report.html", "plots"}
