"""Files that are gone, and a registration that went wrong: the experiment is told all the same, and mends itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from flows import experiment as flow
from flows.cross_validate import cross_validate
from tasks import champion
from tasks.tracking.models import find_model
from tests.support.images import write_classes
from tests.support.kept_workers import kept_workers
from tests.support.studio import make_studio, quick

ON = {"name": "lost eyes", "champion": {"enabled": True}}
LONGER = {"training": {"epochs": 2, "batch_size": 8}}


@pytest.fixture(scope="module")
def told(tmp_path_factory, empty_store, prefect_api):
    """What runs say, one after the other, to what goes wrong."""
    studio = make_studio(tmp_path_factory.mktemp("lost"), empty_store, prefect_api)
    images = write_classes(studio.folder / "images", {"down": 8, "across": 8}, size=(40, 30))
    found = SimpleNamespace(studio=studio)

    def version(number):
        return find_model(studio.client, f"models:/lost eyes/{number}", studio.folder / "copies").folder

    def images_go_away(*arguments, **named):
        images.rename(studio.folder / "away")
        return {}

    with studio.inside(), kept_workers():
        file = studio.write(quick("images", **ON))
        with mock.patch.object(champion, "best_mixture", side_effect=OSError("no room")):
            found.broken = cross_validate(file)
        found.mended = cross_validate(file)
        longer = studio.write(quick("images", **ON, **LONGER), "longer.yaml")
        shutil.rmtree(version(1))
        with mock.patch.object(flow, "_measure_costs", images_go_away):
            found.without_images = cross_validate(longer)
        found.page = Path(found.without_images.report).read_text(encoding="utf-8")
        (studio.folder / "away").rename(images)
        shutil.rmtree(version(2))
        found.again = cross_validate(longer)
        found.recalled = cross_validate(longer)
    return found


def test_a_registration_that_went_wrong_is_told_and_tried_again(told):
    broken, mended = told.broken.champion, told.mended.champion
    assert (broken["version"], broken["failed"]) == (None, True)
    assert "was not registered: no room" in broken["told"]
    assert told.broken.status == "completed"
    assert told.mended.experiment_run_id == told.broken.experiment_run_id
    assert (mended["version"], mended["is_champion"], mended["failed"]) == ("1", True, False)


def test_a_champion_that_cannot_be_asked_stays_and_the_new_version_is_there(told):
    found = told.without_images.champion
    assert (found["version"], found["is_champion"], found["failed"]) == ("2", False, False)
    assert "The champion, version 1, could not be asked, so it stays" in found["told"]
    assert "`foldcam champion 'lost eyes' --promote 2`" in found["told"]


def test_images_that_go_away_before_the_comparison_do_not_stop_it(told):
    result, client = told.without_images, told.studio.client
    assert result.status == "completed"
    assert "16 images went away" in " ".join(told.page.split())
    names = {entry.path for entry in client.list_artifacts(result.experiment_run_id)}
    assert {"contact_sheet.png", "comparison.json", "promotion.json"} <= names


def test_a_version_whose_files_are_gone_is_registered_anew(told):
    assert told.again.experiment_run_id == told.without_images.experiment_run_id
    assert (told.again.champion["version"], told.again.champion["reused"]) == ("3", False)
    assert dict(told.recalled.champion) == json.loads(json.dumps(told.again.champion))
    assert told.recalled.seconds == {}
