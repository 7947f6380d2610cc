from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow.entities import LoggedModelStatus


def place_of(uri):
    return Path(urlsplit(uri).path)


@pytest.fixture
def begun(client, runs, run_id):
    """A fold run with a model that is whole, one that is not, a whole picture and one that is not."""
    models = {name: client.create_logged_model(runs.experiment_id, name, run_id) for name in ("whole", "begun")}
    for model in models.values():
        place_of(model.artifact_location).mkdir(parents=True)
        (place_of(model.artifact_location) / "network.keras").write_bytes(b"")
    client.finalize_logged_model(models["whole"].model_id, LoggedModelStatus.READY)
    plots = place_of(client.get_run(run_id).info.artifact_uri) / "plots"
    plots.mkdir(parents=True)
    for name in ("loss.png", ".artifact.uploading.k2x"):
        (plots / name).write_bytes(b"png")
    return models, plots


def test_what_a_failed_run_has_not_finished_is_taken_away(client, runs, run_id, begun):
    models, plots = begun
    runs.end(run_id, "failed", "killed")
    assert client.get_logged_model(models["begun"].model_id).status == "FAILED"
    assert not place_of(models["begun"].artifact_location).exists()
    assert client.get_logged_model(models["whole"].model_id).status == "READY"
    assert (place_of(models["whole"].artifact_location) / "network.keras").exists()
    assert [file.name for file in plots.iterdir()] == ["loss.png"]


@pytest.mark.parametrize("status", ["completed", "partial"])
def test_a_run_that_did_not_fail_keeps_all(client, runs, run_id, begun, status):
    models, plots = begun
    runs.end(run_id, status)
    assert client.get_logged_model(models["begun"].model_id).status == "PENDING"
    assert len(list(plots.iterdir())) == 2
