from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

from tasks.evaluation.metrics import metric_key, score
from tasks.evaluation.outputs import decide
from tasks.evaluation.thresholds import tuned_thresholds
from tasks.explanation.predictions import Predicted
from tasks.workers.decisions import thresholds_of
from tasks.workers.order import read_material
from tasks.workers.workshop import Workshop

LABELS = ("blau", "grün/hell", "rot")
N, FOLD = 30, 1
SEVERAL = {"kind": "multilabel", "separator": " ", "none_label": "healthy"}
SETTINGS = {
    "training": {"epochs": 2, "batch_size": 4, "early_stopping_patience": None},
    "explanation": {"max_images": None, "contact_sheet_images": 3, "faithfulness_images": 2},
}


def labels_of(kind, number):
    """Give the label of an image: a grade, or each mix of the three labels in turn."""
    if kind == "ordinal":
        return str(number % 3)
    return " ".join(label for place, label in enumerate(LABELS) if number >> place & 1) or "healthy"


def write_images(root, kind, wrong=()):
    """Write pictures whose colours or brightness say their labels, and a table of labels and folds; some are wrong."""
    rng = np.random.default_rng(4)
    (root / "pictures").mkdir(parents=True)
    rows = []
    for number in range(N):
        lit = [number >> place & 1 for place in (2, 1, 0)] if kind == "multilabel" else [number % 3 / 2] * 3
        pixels = 50 + 150 * np.array(lit) + rng.normal(0, 25, (40, 32, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / "pictures" / f"{number:03d}.png")
        label = labels_of(kind, number + 1 if number in wrong else number)
        rows.append({"image": f"{number:03d}.png", "label": label, "fold": number // 8 % 2})
    pd.DataFrame(rows).to_csv(root / "labels.csv", index=False)
    return root


def data_of(root, kind, **changes):
    return {"path": str(root), "labels": SEVERAL if kind == "multilabel" else {"kind": kind}} | changes


@pytest.fixture(scope="module")
def plan_of(planned, tmp_path_factory):
    def make(kind, root=None, /, *, data=None, **changes):
        place = tmp_path_factory.mktemp(kind)
        root = root or write_images(place / "data", kind)
        return planned(root, place / "cache", data=data_of(root, kind, **(data or {})), **SETTINGS, **changes)

    return make


@pytest.fixture(scope="module")
def run(pool, store, new_run):
    def do(plan):
        run_id, events = new_run(), []
        result = pool.do(plan.order("fold", ("ncnn", FOLD), store, run_id), events.append, timeout=600)
        found = MlflowClient(store).get_run(run_id)
        folder = Path(found.info.artifact_uri)
        predictions = pd.read_parquet(folder / "predictions.parquet")
        return SimpleNamespace(
            plan=plan,
            result=result,
            events=events,
            logged=found.data,
            folder=folder,
            predictions=predictions,
            history=pd.read_csv(folder / "history.csv").drop(columns="seconds"),
            probabilities=predictions[[f"prob/{label}" for label in plan.manifest.classes]].to_numpy(),
        )

    return do


@pytest.fixture(scope="module")
def several(run, plan_of):
    """Several labels an image, thresholds tuned."""
    return run(plan_of("multilabel", evaluation={"thresholds": "tuned"}))


@pytest.fixture(scope="module")
def grades(run, plan_of):
    """Grades, of masked pictures with bars."""
    return run(plan_of("ordinal", data={"preprocessing": {"resize": "pad", "mask": "circle"}}))


def thresholds_in(done):
    table = done.predictions[[f"threshold/{label}" for label in LABELS]]
    assert (table.nunique() == 1).all()
    return table.iloc[0].to_numpy()


def check_decisions(done, kind, decided):
    targets, y = done.plan.manifest.targets, done.plan.manifest.y[done.plan.rows[FOLD].test]
    assert done.predictions["true"].tolist() == targets.texts(y)
    assert done.predictions["predicted"].tolist() == targets.texts(decided)
    expected = score(y, done.probabilities, targets.classes, kind=kind, y_pred=decided)
    assert done.result["metrics"] == expected
    assert {name: done.logged.metrics[f"test/{name}"] for name in expected} == expected
    same = (done.predictions["true"] == done.predictions["predicted"]).sum()
    assert len(list((done.folder / "explanations/gradcam").rglob("*.png"))) == len(y)
    assert len(list((done.folder / "explanations/gradcam/right").glob("*.png"))) == same


def test_labels_are_decided_by_thresholds_that_stand_in_table_and_params(several):
    thresholds = thresholds_in(several)
    logged = [float(several.logged.params[f"threshold/{metric_key(label)}"]) for label in LABELS]
    np.testing.assert_allclose(logged, thresholds, rtol=1e-12)
    assert len({*thresholds.tolist(), 0.5}) > 1
    check_decisions(several, "multilabel", decide(several.probabilities, "multilabel", thresholds))


def test_grades_are_decided_by_what_is_reached_and_ranked_by_their_own_metric(grades):
    np.testing.assert_allclose(grades.probabilities.sum(axis=1), 1, atol=1e-12)
    check_decisions(grades, "ordinal", decide(grades.probabilities, "ordinal"))
    assert "quadratic_kappa" in grades.result["metrics"]
    assert {event["metric"] for event in grades.events if "metric" in event} == {"quadratic_kappa"}
    assert not any(name.startswith("threshold") for name in (*grades.logged.params, *grades.predictions))


def test_the_labels_of_test_images_bear_on_neither_training_nor_thresholds(several, run, plan_of, tmp_path):
    test = several.plan.rows[FOLD].test
    root = write_images(tmp_path / "data", "multilabel", wrong=test.tolist())
    other = run(plan_of("multilabel", root, evaluation={"thresholds": "tuned"}))
    assert other.plan.rows[FOLD].test.tolist() == test.tolist()
    assert (other.predictions["true"] != several.predictions["true"]).all()
    assert other.history.equals(several.history)
    np.testing.assert_array_equal(other.probabilities, several.probabilities)
    np.testing.assert_array_equal(thresholds_in(other), thresholds_in(several))


def bench_of(plan, workshop=None, fold=FOLD):
    material = read_material(plan.order("fold", ("ncnn", fold)))
    return material, (workshop or Workshop()).bench(material, "ncnn", fold, lambda _: None)


def test_thresholds_are_given_or_tuned_on_the_validation_images(plan_of):
    given = {"blau": 0.2, "grün/hell": 0.6, "rot": 0.9}
    plan = plan_of("multilabel", evaluation={"thresholds": given})
    material, bench = bench_of(plan)
    rows = plan.rows[FOLD].validation
    probabilities = 1 / (1 + np.exp(-bench.fitter.forward(bench.inputs.rows[rows]).astype(float)))
    validation = Predicted(rows, probabilities, rows[:0], np.zeros((0, 1, 1)))
    assert thresholds_of(material, validation).tolist() == [0.2, 0.6, 0.9]
    evaluation = material.experiment.evaluation.model_copy(update={"thresholds": "tuned"})
    tuned = SimpleNamespace(
        experiment=material.experiment.model_copy(update={"evaluation": evaluation}), manifest=material.manifest
    )
    expected = tuned_thresholds(material.manifest.y[rows], probabilities)
    np.testing.assert_allclose(thresholds_of(tuned, validation), expected, atol=1e-9)


def course(material, bench, fold):
    rows, manifest = material.rows(fold), material.manifest
    history = bench.fitter.fit(bench.inputs.rows, manifest.y, rows.train, rows.validation, manifest.classes, seed=3)
    chosen = np.arange(len(rows.test)) % len(manifest.classes)
    cam = bench.explainers.on_features("gradcam")
    return history.drop(columns="seconds"), cam(bench.inputs.cam_rows[rows.test], chosen)[1]


@pytest.mark.parametrize("which", ["several", "grades"])
def test_a_bench_that_is_used_again_gives_what_a_new_one_gives(which, request):
    plan, workshop = request.getfixturevalue(which).plan, Workshop()
    first = bench_of(plan, workshop, 0)
    course(*first, 0)
    again = bench_of(plan, workshop, 1)
    assert again[1] is first[1]
    found, alone = course(*again, 1), course(*bench_of(plan, None, 1), 1)
    assert found[0].equals(alone[0])
    np.testing.assert_array_equal(found[1], alone[1])


def test_the_network_sees_the_pictures_as_they_are_to_be_shaped(grades, plan_of):
    workshop, root = Workshop(), grades.plan.manifest.root
    plain = bench_of(plan_of("ordinal", root), workshop)[1]
    shaped = bench_of(grades.plan, workshop)[1]
    assert shaped is not plain
    assert shaped.images.shape == plain.images.shape == (N, 34, 34, 3)
    bars = shaped.images[:, :, [0, 1, -2, -1]]
    assert not bars.any()
    assert not shaped.images[:, 0, 3].any()
    assert plain.images[:, :, 0].any(axis=(1, 2)).all()
    assert shaped.images[:, 17, 17].any(axis=1).all()
