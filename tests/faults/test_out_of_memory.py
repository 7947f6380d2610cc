from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.cross_validate import cross_validate
from tests.support.disturbed import long
from tests.support.images import write_classes
from tests.support.studio import quick

BATCH = 8
TIGHT = f"""
import sys
if "tasks.workers.child" in sys.orig_argv:
    import tensorflow as tf
    from tasks.training import fit
    whole = fit.training_stream

    def tight(*arguments, **named):
        if named["batch_size"] > {BATCH // 2}:
            raise tf.errors.ResourceExhaustedError(None, None, "Graph error:\\nOOM when allocating tensor")
        return whole(*arguments, **named)

    fit.training_stream = tight
"""
"""Runs in every worker at its start: TensorFlow finds no memory for more than half the batch, as on a small GPU."""


@pytest.fixture(scope="module")
def halved(studio):
    """An experiment whose fold run finds no memory for its batch."""
    images = write_classes(studio.folder / "images", {"across": 8, "down": 8})
    settings = quick(
        images,
        name="tight",
        training={"epochs": 1, "batch_size": BATCH},
        explanation={"max_images": 0, "faithfulness_images": 0},
        runner={"workers": 1, "retries": 0, "out_of_memory": "halve_batch"},
    )
    with studio.inside(), pytest.MonkeyPatch.context() as patch:
        (studio.folder / "sitecustomize.py").write_text(TIGHT, encoding="utf-8")
        patch.setenv("PYTHONPATH", str(studio.folder))
        result = cross_validate(studio.write(settings), folds=[0])
    return SimpleNamespace(studio=studio, result=result, runs=studio.runs("fold"))


def test_a_fold_run_without_memory_is_done_with_half_its_batch(halved):
    assert halved.result.status == "completed"
    assert [run.info.status for run in halved.runs] == ["FAILED", "FINISHED"]
    assert halved.runs[1].data.params["training.batch_size"] == str(BATCH // 2)
    assert halved.runs[1].data.tags["foldcam.smaller_batch"] == str(BATCH // 2)


def test_the_failed_try_says_why(halved):
    assert "out of memory: OOM when allocating tensor" in halved.runs[0].data.tags["foldcam.error"]


def test_the_report_says_that_the_figures_are_of_another_batch_size(halved):
    text = " ".join(Path(halved.result.report).read_text(encoding="utf-8").split())
    assert f"smaller batches than the {BATCH} images of its settings (fold 0: {BATCH // 2})" in text


@long
def test_without_the_setting_it_fails_with_the_reason_and_the_others_go_on(studio, halved):
    mad = {"size": 34, "freeze": "none", "head": {"units": [10**11]}}
    runner = {"workers": 1, "retries": 0}
    backbones = {"ncnn": mad, "vgg16": {"size": 32, "training": {"epochs": 1}}}
    file = studio.write(quick(studio.folder / "images", name="mad", backbones=backbones, runner=runner))
    with studio.inside():
        result = cross_validate(file, folds=[0])
    assert result.status == "partial"
    [failure] = result.failures
    assert failure.backbone == "ncnn"
    assert "out of memory" in failure.error
    assert [fold.status for fold in result.backbones["vgg16"].folds] == ["completed"]
