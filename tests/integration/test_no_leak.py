from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.experiment_file import read_experiment
from tasks.prepare import load_plan
from tasks.tracking.runs import Runs
from tasks.tracking.store import experiment_id
from tasks.workers.order import read_material
from tasks.workers.pool import WorkerPool
from tasks.workers.source import prepare_source
from tests.support.images import write_classes
from tests.support.studio import quick

FOLD = 0


@pytest.fixture(scope="module")
def poisoned(studio):
    """One fold run of two backbones, on images and on the same images but for the test images, which are noise."""
    counts = {"down": 10, "across": 10}
    backbones = {"ncnn": {"size": 34, "freeze": "none"}, "vgg16": {"size": 32}}
    found = SimpleNamespace(plans={}, histories={}, metrics={})
    with studio.inside(), WorkerPool([{}], threads=1, deterministic=True) as pool:
        for kind in ("clean", "poisoned"):
            folder = write_classes(studio.folder / kind / "train", counts).parent
            write_classes(folder / "test", {"down": 2, "across": 2}, seed=5)
            file = studio.write(quick(folder, name=kind, backbones=backbones, training={"epochs": 2, "batch_size": 4}))
            plan = load_plan(read_experiment(file))
            if kind == "poisoned":
                hidden = np.concatenate([plan.rows[FOLD].test, plan.rows[FOLD].holdout])
                spoil([folder / path for path in plan.manifest.table["path"].iloc[hidden]])
                plan = load_plan(read_experiment(file))
            found.plans[kind] = plan
            for backbone in backbones:
                outcome, history = fold_run(studio, pool, plan, backbone)
                found.metrics[kind, backbone] = outcome["metrics"]
                found.histories[kind, backbone] = history
    return found


def spoil(paths: list[Path]):
    for seed, path in enumerate(paths):
        noise = np.random.default_rng(seed).integers(0, 256, (40, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)


def fold_run(studio, pool, plan, backbone):
    client = studio.client
    run_id = Runs(client, experiment_id(client, plan.experiment.name)).start("fold", backbone, parent=None, tags={})
    outcome = pool.do(plan.order("fold", (backbone, FOLD), studio.tracking_uri, run_id), lambda event: None)
    history = pd.read_csv(client.download_artifacts(run_id, "history.csv")).drop(columns="seconds")
    return outcome, history


def test_both_sets_have_the_same_folds_and_other_test_images(poisoned):
    clean, spoilt = poisoned.plans["clean"], poisoned.plans["poisoned"]
    assert (clean.fold_of_row == spoilt.fold_of_row).all()
    changed = clean.manifest.table["sha256"] != spoilt.manifest.table["sha256"]
    hidden = np.concatenate([clean.rows[FOLD].test, clean.rows[FOLD].holdout])
    assert sorted(np.flatnonzero(changed)) == sorted(hidden)


@pytest.mark.parametrize("backbone", ["ncnn", "vgg16"])
def test_a_fit_does_not_feel_its_test_and_holdout_images_by_a_single_bit(poisoned, backbone):
    clean, spoilt = poisoned.histories["clean", backbone], poisoned.histories["poisoned", backbone]
    assert len(clean) == 2
    pd.testing.assert_frame_equal(clean, spoilt, check_exact=True)
    assert poisoned.metrics["clean", backbone]["log_loss"] != poisoned.metrics["poisoned", backbone]["log_loss"]


def weights_of(plan, backbone, fold):
    material = read_material(plan.order("fold", (backbone, fold)))
    model = prepare_source(material, backbone, fold, lambda event: None).built.model
    split = {"base": {}, "head": {}}
    for layer in model.layers:
        part = "head" if layer.name.startswith(("head_", "logits")) else "base"
        split[part] |= {f"{layer.name}/{weight.name}": weight.numpy().copy() for weight in layer.weights}
    return split


@pytest.mark.parametrize(("freeze", "base_is_shared"), [("none", False), ("base", True), ("last_block", True)])
def test_two_folds_start_from_weights_of_their_own_but_for_a_frozen_base(poisoned, freeze, base_is_shared):
    plan = poisoned.plans["clean"]
    backbones = {"ncnn": plan.experiment.backbones["ncnn"].model_copy(update={"freeze": freeze})}
    plan = replace(plan, experiment=plan.experiment.model_copy(update={"backbones": backbones}))
    first, second, again = (weights_of(plan, "ncnn", fold) for fold in (0, 1, 0))
    kernels = [name for name in first["base"] if name.endswith("kernel")]
    assert kernels
    for name in kernels:
        assert np.array_equal(first["base"][name], second["base"][name]) == base_is_shared
    assert not np.array_equal(first["head"]["logits/kernel"], second["head"]["logits/kernel"])
    for part in ("base", "head"):
        for name, value in first[part].items():
            assert np.array_equal(value, again[part][name])
