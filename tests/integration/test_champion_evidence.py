"""The alias moves to a better model on images that neither has seen, stays otherwise, and can be set back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from flows.cross_validate import cross_validate
from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.kept_workers import kept_workers
from tests.support.studio import make_studio, one_json, quick

EYES = {"name": "eyes/left", "champion": {"enabled": True, "licence": "CC0", "intended_use": "Tests."}}


@pytest.fixture(scope="module")
def eyes(tmp_path_factory, empty_store, prefect_api):
    """Three runs of one name: on few images and hardly trained, on more and trained well, and that again."""
    studio = make_studio(tmp_path_factory.mktemp("eyes"), empty_store, prefect_api)
    write_classes(studio.folder / "images", {"down": 8, "across": 8}, size=(40, 30))
    few = {"training": {"epochs": 1, "batch_size": 8, "optimizer": {"learning_rate": 1e-6}}}
    more = {"training": {"epochs": 15, "batch_size": 8}}
    with studio.inside(), kept_workers():
        first = cross_validate(studio.write(quick("images", **EYES, **few)))
        write_classes(studio.folder / "more", {"down": 20, "across": 20}, seed=5, size=(40, 30))
        for label in ("down", "across"):
            for file in (studio.folder / "more" / label).iterdir():
                file.rename(studio.folder / "images" / label / f"new {file.name}")
        second = cross_validate(studio.write(quick("images", **EYES, **more)))
        again = cross_validate(
            studio.write(
                quick(
                    "images", **EYES, **more, description="said anew", seed=0, comparison={"cost": False, "rope": 0.02}
                )
            )
        )
        other = cross_validate(studio.write(quick("images", **EYES, **few)))
    return SimpleNamespace(studio=studio, first=first, second=second, again=again, other=other)


def test_the_better_one_on_unseen_images_becomes_the_champion(eyes):
    first, second = eyes.first.champion, eyes.second.champion
    assert (first["model"], first["version"], first["is_champion"]) == ("eyes-left", "1", True)
    assert (second["version"], second["is_champion"], second["previous"]) == ("2", True, "1"), second
    promotion = second["promotion"]
    assert promotion["n_images"] == promotion["n_groups"] == 40
    assert promotion["ci_low"] > 0
    run = eyes.studio.client.get_run(eyes.second.experiment_run_id)
    assert run.data.metrics["champion/difference"] == pytest.approx(promotion["difference"])
    assert run.data.metrics["champion/difference_ci_low"] == pytest.approx(promotion["ci_low"])
    description = eyes.studio.client.get_model_version("eyes-left", "2").description
    assert "Licence: CC0." in description
    assert "Tests." in description


def test_the_same_fold_runs_are_not_registered_twice(eyes):
    assert eyes.again.experiment_run_id != eyes.second.experiment_run_id
    again = eyes.again.champion
    assert (again["version"], again["reused"], again["is_champion"]) == ("2", True, True)
    assert again["promotion"]["moves"] is False


def test_without_unseen_images_the_champion_stays(eyes):
    other = eyes.other.champion
    assert (other["version"], other["is_champion"]) == ("3", False)
    assert "no image that neither" in other["promotion"]["reason"]


def test_the_command_shows_the_versions_goes_back_and_promotes(eyes):
    with eyes.studio.inside():
        shown = foldcam("champion")
        assert shown.code == 0, shown.err
        assert "Versions of eyes-left" in shown.out
        assert "the new model is better" in " ".join(shown.out.split())
        found = one_json(foldcam("champion", "eyes-left", "--json").out)
        assert found["aliases"] == {"champion": "2", "previous": "1"}
        assert [own["version"] for own in found["versions"]] == ["3", "2", "1"]
        assert found["versions"][1]["aliases"] == ["champion"]
        assert found["versions"][1]["promotion"]["moves"] is True
        back = foldcam("champion", "--back")
        assert "Version 1 of eyes-left is the champion again" in " ".join(back.out.split())
        promoted = one_json(foldcam("champion", "--promote", "3", "--json").out)
        assert promoted["aliases"] == {"champion": "3", "previous": "1"}
        assert "already" in one_json(foldcam("champion", "--promote", "3", "--json").out)["done"]
        foldcam("champion", "--promote", "2")
        for arguments, said in (
            (("--promote", "9"), "has no version '9'. It has: 3, 2, 1"),
            (("eye",), "There is no registered model 'eye'"),
            (("--back", "--promote", "1"), "Give one of them"),
        ):
            assert said in foldcam("champion", *arguments).refused()
        assert one_json(foldcam("champion", "--json").out)["aliases"]["champion"] == "2"


def test_what_was_decided_is_told_again_from_the_record(eyes):
    with eyes.studio.inside():
        told = cross_validate(eyes.studio.folder / "experiment.yaml")
    assert dict(told.champion) == dict(eyes.other.champion)
    assert told.notes == eyes.other.notes
