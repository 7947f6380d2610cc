from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.support.command import foldcam
from tests.support.flow_runs import flow_runs
from tests.support.images import write_classes
from tests.support.studio import one_json, quick


@pytest.fixture(scope="module")
def diverged(studio):
    """Two backbones, of which one has a learning rate that no fit survives."""
    write_classes(studio.folder / "images", {"down": 8, "across": 8})
    mad = {"optimizer": {"name": "sgd", "learning_rate": 1e30}, "epochs": 3}
    backbones = {"ncnn": {"size": 34, "freeze": "none", "training": mad}, "vgg16": {"size": 32}}
    file = studio.write(quick("images", name="diverged", backbones=backbones, runner={"workers": 2, "retries": 2}))
    with studio.inside():
        answer = foldcam("run", file, "--json")
    return SimpleNamespace(studio=studio, answer=answer, found=one_json(answer.out))


def test_a_loss_that_is_no_number_fails_the_fold_runs_and_spares_the_others(diverged):
    assert diverged.answer.code == 3
    assert diverged.found["status"] == "partial"
    states = {name: [fold["status"] for fold in own["folds"]] for name, own in diverged.found["backbones"].items()}
    assert states == {"ncnn": ["failed", "failed"], "vgg16": ["completed", "completed"]}
    assert diverged.found["ranking"] == ["vgg16"]


def test_the_reason_is_said_with_the_way_to_mend_it(diverged):
    for fold in diverged.found["backbones"]["ncnn"]["folds"]:
        assert "diverged" in fold["error"]
        assert "learning_rate" in fold["error"]
    assert "Failed: ncnn/0: " in diverged.answer.err


def test_a_fit_that_would_diverge_again_is_not_tried_again(diverged):
    runs = [run for run in diverged.studio.runs("fold") if run.data.tags["foldcam.backbone"] == "ncnn"]
    assert [run.info.status for run in runs] == ["FAILED", "FAILED"]
    assert all("diverged" in run.data.tags["foldcam.error"] for run in runs)


def test_the_flow_run_is_failed_and_names_the_fold_runs(diverged):
    [flow_run] = flow_runs("diverged")
    assert flow_run.state.type.value == "FAILED"
    assert "ncnn/0" in flow_run.state.message


def test_a_backbone_without_any_fold_is_recorded_as_failed(diverged):
    ends = {run.info.run_name: run.data.tags["foldcam.status"] for run in diverged.studio.runs("backbone")}
    assert ends == {"ncnn": "failed", "vgg16": "completed"}
    assert [run.data.tags["foldcam.status"] for run in diverged.studio.runs("experiment")] == ["partial"]


def test_imagenet_weights_without_a_network_stop_with_the_file_and_where_to_put_it(own_studio, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    keras_home = own_studio.folder / "keras"
    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    write_classes(own_studio.folder / "images", {"down": 8, "across": 8})
    file = own_studio.write(quick("images", backbones={"vgg16": {"size": 32, "weights": "imagenet"}}))
    with own_studio.inside():
        message = foldcam("run", file).refused()
    assert "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5" in message
    assert str(keras_home / "models") in message
    assert {run.info.status for run in own_studio.runs()} <= {"FAILED", "FINISHED"}
    assert "completed" not in {run.data.tags["foldcam.status"] for run in own_studio.runs()}
