"""Each check of the doctor's, made to fail for real."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import pytest
from packaging.requirements import Requirement

from flows.runners import free_port
from tasks.care import versions
from tasks.care.devices import Seen, ask_tensorflow, check_devices
from tasks.care.findings import Finding, asked, worst
from tasks.care.folders import check_cache_folder, check_leftovers
from tasks.care.servers import check_answers, check_clock
from tasks.care.space import (
    check_artifact_space,
    check_cache_space,
    check_memory,
    free_memory_gb,
    in_words,
    needs_of,
)
from tasks.care.variables import check_variables
from tasks.config import Experiment, InputError
from tests.support.answering import answering

SIZES = {
    "vgg16": {"image_size": 224, "parameters": 14_715_714, "feature_gb": 40.0},
    "resnet50": {"image_size": 224, "parameters": 23_565_250, "feature_gb": 2.0},
    "ncnn": {"image_size": 120, "parameters": 72_593, "feature_gb": 0.0},
}


def experiment(**changes):
    settings = {"name": "x", "data": {"path": "x"}, "backbones": list(SIZES), "explanation": {"max_images": 10}}
    return Experiment.model_validate(settings | changes)


def states(findings):
    return {found.code: found.state for found in findings}


def program(folder, name, text):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_this_installation_is_in_order():
    found = versions.check_versions()
    assert worst(found) == "ok"
    assert {"python", "foldcam", "packages.prefect", "packages.mlflow", "packages.keras", "packages"} <= set(
        states(found)
    )


def test_another_version_of_a_package_is_a_fault_with_its_mend(tmp_path, monkeypatch):
    info = tmp_path / "keras-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = next(one for one in versions.check_versions() if one.code == "packages.keras")
    assert found.state == "fault"
    assert "keras 9.9" in found.said
    assert "pip install 'keras" in found.mend


def test_a_package_that_is_not_there_and_a_python_out_of_bounds_are_faults():
    assert versions.judge(Requirement("no-such-package>=2"), versions._installed("no-such-package")).state == "fault"
    assert versions._python(">=3.11,<3.14", "3.10.4").state == "fault"
    assert versions._python(">=3.11,<3.14", "3.13.1").state == "ok"


def test_a_gpu_that_tensorflow_does_not_use_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program(tmp_path, "nvidia-smi", "echo NVIDIA T4")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = check_devices(Seen())
    assert states(found)["devices.gpu"] == "warning"
    assert "NVIDIA T4" in found[-1].said
    assert "make gpu" in found[-1].mend
    assert states(check_devices(Seen(gpus=["NVIDIA T4"])))["devices.gpu"] == "ok"
    program(tmp_path, "nvidia-smi", "echo cannot talk to the driver; exit 9")
    found = check_devices(None)
    assert states(found)["devices.driver"] == "fault"
    assert "cannot talk" in found[-1].said


def test_a_tensorflow_that_does_not_load_is_a_fault(tmp_path, monkeypatch):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libcudart.so.12: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    seen = ask_tensorflow(None)
    assert "libcudart.so.12" in seen.fault
    assert states(check_devices(seen))["devices.tensorflow"] == "fault"


def test_tensorflow_tells_what_an_experiment_takes():
    """N-CNN as published has 72,593 parameters with one output; what is kept of each image is known from its layers."""
    asked_for = experiment(backbones={"ncnn": {}, "resnet50": {"size": 64}})
    seen = ask_tensorflow(asked_for, n_images=1000, n_outputs=1)
    assert seen.fault == ""
    assert seen.gpus == []
    assert seen.sizes["ncnn"]["parameters"] == 72_593
    assert seen.sizes["ncnn"]["image_size"] == 120
    whole, pooled = 2 * 2 * 2048, 2048
    assert seen.sizes["resnet50"]["feature_gb"] == pytest.approx(1000 * (whole + pooled) * 4 / 1e9)


def test_needs_follow_from_images_sizes_and_folds():
    needs = needs_of(experiment(folds={"n_splits": 5}, champion={"enabled": False}), 1000, SIZES)
    assert needs.decoded == pytest.approx(1000 * 3 * (224**2 + 120**2) / 1e9)
    assert needs.cache == pytest.approx(needs.decoded + 42)
    networks = 5 * 4 * sum(own["parameters"] for own in SIZES.values())
    overlays = 50 * 1.7 * (2 * 224**2 + 120**2)
    assert needs.artifacts == pytest.approx((networks + overlays) / 1e9)


def test_a_disk_and_a_bound_that_are_too_small_are_told(tmp_path):
    asked_for = experiment()
    needs = needs_of(asked_for, 1000, SIZES)
    found = check_cache_space(asked_for, needs, tmp_path / "not" / "yet" / "there", 0.0)
    assert states(found)["space.features"] == "warning"
    assert "vgg16" in found[-1].said
    assert "resnet50" not in found[-1].said
    roomy = experiment(cache={"max_gb": 1e7})
    endless = needs_of(roomy, 10**10, SIZES)
    assert states(check_cache_space(roomy, endless, tmp_path, 0.0))["space.cache"] == "fault"
    assert states(check_artifact_space(endless, tmp_path))["space.artifacts"] == "ok"
    everything = experiment(explanation={"max_images": None})
    assert states(check_artifact_space(needs_of(everything, 10**10, SIZES), tmp_path))["space.artifacts"] == "fault"
    together = experiment(cache={"max_gb": 41})
    small = needs_of(together, 1000, {"resnet50": SIZES["resnet50"]} | {"vgg16": SIZES["vgg16"] | {"feature_gb": 20.4}})
    assert worst(check_cache_space(together, small, tmp_path, 0.0)) == "ok"


def test_more_workers_than_the_memory_takes_are_a_warning():
    found = check_memory(experiment(runner={"workers": 1000}))
    assert found[0].state == "warning"
    assert "runner.workers" in found[0].mend
    assert 0 < free_memory_gb() < 1e5
    assert in_words(0.0123) == "12 MB"
    assert in_words(1.25) == "1.2 GB"


def test_a_cache_folder_that_cannot_be_written_is_a_fault(tmp_path):
    assert worst(check_cache_folder(tmp_path / "new")) == "ok"
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("not a folder")
    found = check_cache_folder(tmp_path / "file")
    assert worst(found) == "fault"
    assert "FOLDCAM_HOME" in found[0].mend


def test_what_killed_runs_leave_is_found_and_what_is_used_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert states(check_leftovers(tmp_path, 0)) == {"leftovers": "ok"}
    (tmp_path / "arrays").mkdir()
    (tmp_path / "arrays" / "abc.1234.tmp").write_bytes(b"half")
    assert states(check_leftovers(tmp_path, 2))["leftovers.cache"] == "warning"
    assert states(check_leftovers(tmp_path, 2))["leftovers.waiting"] == "warning"
    old = time.time() - 3700
    for name in ("foldcam-workers-dead", "foldcam-workers-alive", "foldcam-workers-new"):
        (tmp_path / name).mkdir()
        if name != "foldcam-workers-new":
            os.utime(tmp_path / name, (old, old))
    holder = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path / "foldcam-workers-alive")},
    )
    try:
        [scratch] = [own for own in check_leftovers(tmp_path, 0) if own.code == "leftovers.scratch"]
        assert (scratch.state, "-dead" in scratch.said, "-alive" in scratch.said) == ("warning", True, False)
    finally:
        holder.communicate(b"\n")
    [scratch] = [own for own in check_leftovers(tmp_path, 0) if own.code == "leftovers.scratch"]
    assert ("-alive" in scratch.said, "-new" in scratch.said) == (True, False)


def test_a_server_that_is_not_there_or_broken_is_a_fault():
    gone = check_answers("mlflow", "MLflow's server", f"http://127.0.0.1:{free_port()}/health", "Start it")
    assert [(one.code, one.state, one.mend) for one in gone] == [("mlflow.reached", "fault", "Start it")]
    with answering(503) as address:
        assert worst(check_answers("mlflow", "it", address, "Start it")) == "fault"
    assert worst(check_answers("mlflow", "it", "http://", "Correct it")) == "fault"


@pytest.mark.parametrize(("ahead", "state"), [(0, "ok"), (30, "warning"), (-30, "warning"), (900, "fault")])
def test_a_servers_clock_is_compared_by_its_own_answer(ahead, state):
    with answering(401, ahead=ahead) as address:
        found = check_answers("mlflow", "MLflow's server", address, "")
    assert states(found) == {"mlflow.reached": "ok", "mlflow.clock": state}
    if ahead:
        assert ("ahead of" if ahead > 0 else "behind") in found[-1].said


def test_an_answer_without_a_date_says_nothing_of_the_clock():
    for date in (None, "yesterday"):
        assert check_clock("c", "it", date, time.time()) == []


def test_variables_that_cannot_be_used_are_faults(monkeypatch):
    assert worst(check_variables()) == "ok"
    monkeypatch.setenv("FOLDCAM_LOG", "xml")
    monkeypatch.setenv("FOLDCAM_METRICS_PORT", "many")
    assert states(check_variables()) == {"settings.logs": "fault", "settings.metrics": "fault"}


def test_a_check_that_breaks_is_a_finding_and_hides_no_other():
    def breaks():
        raise KeyError("x")

    def refuses():
        raise InputError("Set it.")

    assert asked("a", breaks)[0].state == "fault"
    assert asked("a", refuses) == [Finding("a", "fault", "Set it.")]
    assert worst([]) == "ok"
    assert worst([Finding("a", "warning", ""), Finding("b", "ok", "")]) == "warning"
