from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.support.command import foldcam
from tests.support.disturbed import (
    Moment,
    assert_as_undisturbed,
    disturb,
    finish,
    half_written,
    long,
    random_moment,
    rounds,
)
from tests.support.images import write_classes
from tests.support.small_disk import small_disk
from tests.support.studio import make_studio, quick


def refused(code, told, *words):
    assert code in (2, 3), told
    assert "Traceback" not in told
    for word in words:
        assert word in told.splitlines()[-1]


@pytest.fixture
def place(tmp_path, empty_store, prefect_api):
    """A studio with images, and its cache on a small disk."""
    studio = make_studio(tmp_path / "place", empty_store, prefect_api)
    write_classes(studio.folder / "images", {"across": 8, "down": 8})
    with small_disk(studio.folder / "cache", 40) as disk:
        yield studio, disk


def test_a_full_cache_is_told_and_leaves_nothing_half_written(place):
    studio, disk = place
    answer = studio.foldcam("run", str(studio.write(quick("images"))))
    refused(answer.returncode, answer.stderr, "No space left on device", str(disk.folder), "FOLDCAM_HOME")
    assert half_written(studio) == []
    assert "RUNNING" not in {run.info.status for run in studio.runs()}


def test_a_cache_that_cannot_be_written_is_told(place):
    studio, disk = place
    disk.resize(4000)
    disk.protect()
    with studio.inside():
        answer = foldcam("run", studio.write(quick("images")))
    refused(answer.code, answer.err, "Read-only file system", "FOLDCAM_HOME")


@long
@pytest.mark.parametrize("where", ["cache", "working folder", "scratch"])
@pytest.mark.parametrize("seed", rounds())
def test_at_any_moment_and_it_goes_on_after_room_was_made(
    tmp_path, empty_store, prefect_api, undisturbed_run, where, seed
):
    with small_disk(tmp_path / "disk", 64_000) as disk:
        folder = disk.folder / "place" if where == "working folder" else tmp_path / "place"
        studio = make_studio(folder, empty_store, prefect_api)
        variables = {"cache": {"FOLDCAM_HOME": str(disk.folder)}, "scratch": {"TMPDIR": str(disk.folder)}}
        studio = replace(studio, variables=variables.get(where, {}))
        file = studio.write(undisturbed_run.settings)
        ended = disturb(studio, file, random_moment(seed, undisturbed_run), lambda _: disk.fill())
        assert ended.code in (0, 2, 3), ended.err
        assert "Traceback" not in ended.err
        disk.resize(64_000)
        finish(studio, file)
        assert_as_undisturbed(studio, undisturbed_run)


@long
def test_a_disk_that_fills_up_by_itself(tmp_path, empty_store, prefect_api, undisturbed_run):
    with small_disk(tmp_path / "disk", 1500) as disk:
        studio = make_studio(disk.folder / "place", empty_store, prefect_api, TMPDIR=str(tmp_path))
        file = studio.write(undisturbed_run.settings)
        ended = disturb(studio, file, Moment(0), lambda _: None)
        assert ended.code in (2, 3), ended.err
        assert "Traceback" not in ended.err
        assert os.path.commonpath([disk.folder, studio.folder]) == str(disk.folder)
        disk.resize(64_000)
        finish(studio, file)
        assert_as_undisturbed(studio, undisturbed_run)
