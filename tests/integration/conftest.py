from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from flows.cross_validate import cross_validate
from tests.support.images import write_classes
from tests.support.kept_workers import kept_workers
from tests.support.servers import mlflow_over_http
from tests.support.studio import make_studio, quick

SETTINGS = {
    "name": "main job",
    "description": "what a group would run",
    "data": {"path": "images"},
    "folds": {"n_splits": 3},
    "backbones": {"ncnn": {"size": 36, "freeze": "none"}, "vgg16": {"size": 32}},
    "training": {"epochs": 2, "batch_size": 4},
    "explanation": {"contact_sheet_images": 5},
    "runner": {"workers": 2},
}


@pytest.fixture(scope="session")
def job(tmp_path_factory, empty_store, prefect_api):
    """The whole job, done once, through a real MLflow server: what it gave, and where to read it back."""
    folder = tmp_path_factory.mktemp("main")
    studio = make_studio(folder, empty_store, prefect_api)
    write_classes(folder / "images" / "train", {"gesund": 9, "kräftig rot": 8, "Öl Fleck": 8})
    write_classes(folder / "images" / "test", {"gesund": 2, "kräftig rot": 2, "Öl Fleck": 3}, seed=7)
    file = studio.write(SETTINGS)
    with mlflow_over_http(folder, studio.tracking_uri) as address:
        studio = replace(studio, tracking_uri=address)
        with studio.inside():
            result = cross_validate(file)
        yield SimpleNamespace(
            studio=studio, file=file, result=result, client=studio.client, folder=folder, settings=SETTINGS
        )


@pytest.fixture
def runs(job):
    """The runs by level: the experiment's, the backbones' by name, the folds' by backbone and number."""
    levels = SimpleNamespace(
        experiment=job.client.get_run(job.result.experiment_run_id),
        backbones={name: job.client.get_run(own.run_id) for name, own in job.result.backbones.items()},
        folds={
            (name, fold.fold): job.client.get_run(fold.run_id)
            for name, own in job.result.backbones.items()
            for fold in own.folds
        },
    )
    levels.all = [levels.experiment, *levels.backbones.values(), *levels.folds.values()]
    return levels


@pytest.fixture(scope="session")
def lines(tmp_path_factory, empty_store, prefect_api):
    """An experiment of 24 images of two kinds, in two folds of one backbone, with its champion `lines`."""
    studio = make_studio(tmp_path_factory.mktemp("lines"), empty_store, prefect_api)
    write_classes(studio.folder / "images", {"down": 12, "across": 12}, size=(40, 30))
    settings = {"name": "lines", "champion": {"enabled": True}, "training": {"epochs": 3, "batch_size": 8}}
    with studio.inside(), kept_workers():
        result = cross_validate(studio.write(quick("images", **settings)))
        assert result.status == "completed", result.failures
    return SimpleNamespace(studio=studio, result=result, folder=studio.folder)
