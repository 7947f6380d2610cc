from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tasks.explanation.controls import CONTROLS
from tasks.explanation.faithfulness import OVERALL, Plan, measure_faithfulness
from tasks.explanation.location import CORNERS
from tasks.explanation.measures import (
    FAITHFULNESS,
    TRUTH_COLUMNS,
    explanation_metrics,
    groups_of,
    verdicts,
)

pytestmark = pytest.mark.filterwarnings("error")

N, SIDE = 24, 32
OBJECT = np.s_[:, 20:28, 4:12]


def sees_the_object(images):
    likely = images[OBJECT].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - likely, likely], axis=1)


def truth(maps, method="gradcam", *, sanity=0.0, n=N, groups=None):
    """Give the table of truth of maps of a model that needs one place of the picture and no other."""
    images = np.random.default_rng(0).integers(0, 60, (n, SIDE, SIDE, 3)).astype(np.float32)
    images[OBJECT] += 180
    found = measure_faithfulness(sees_the_object, images, maps[:n], np.ones(n, int), Plan(steps=4)).table
    columns = {"path": [f"{i}.png" for i in range(n)], "group": groups, "method": method, "label": "face"}
    for source, part in found.groupby("source"):
        behind = "" if source == "map" else f"_{source}"
        columns |= {f"{measure}{behind}": part[measure].to_numpy() for measure in FAITHFULNESS}
    spread = np.random.default_rng(1).normal(0, 0.05, (4, n))
    means = {"sanity_rank": sanity, "sanity_ssim": sanity, "noise": 0.9, "shift": 0.8}
    columns |= {name: mean + noise for (name, mean), noise in zip(means.items(), spread, strict=True)}
    return pd.DataFrame(columns)[list(TRUTH_COLUMNS)]


@pytest.fixture(scope="module")
def true_maps():
    maps = np.zeros((N, SIDE, SIDE), np.float32)
    maps[OBJECT] = 1
    return maps


@pytest.fixture(scope="module")
def random_maps():
    return np.random.default_rng(2).random((N, 8, 8), dtype=np.float32)


def test_a_true_map_is_believed_and_a_random_one_is_not(true_maps, random_maps):
    table = pd.concat([truth(true_maps), truth(random_maps, "saliency", sanity=0.9)])
    found = verdicts(table)
    assert list(found) == ["gradcam", "saliency"]
    good, bad = found["gradcam"], found["saliency"]
    assert good.beats_controls is True
    assert good.changes_when_randomised is True
    assert not good.doubted
    assert min(gain.low for gain in good.gains.values()) > 0.2
    assert good.text == (
        "Grad-CAM: the model needs what the maps mark, more than what a random or a centred map marks, and the maps "
        "change when the weights are randomised."
    )
    assert bad.beats_controls is False
    assert bad.changes_when_randomised is False
    assert bad.doubted
    assert abs(bad.gains["random"].mean) < 0.1
    assert bad.text.count("not shown") == 2
    assert bad.text.startswith("Saliency: ")


def test_a_map_that_beats_only_one_control_is_doubted(true_maps):
    table = truth(true_maps)
    table[f"{OVERALL}_gaussian"] = table[OVERALL]
    found = verdicts(table)["gradcam"]
    assert found.gains["random"].above
    assert found.beats_controls is False
    assert found.doubted
    assert ", but the maps change" in found.text


def test_too_few_images_or_groups_give_no_verdict(true_maps):
    few = verdicts(truth(true_maps, n=5))["gradcam"]
    patients = verdicts(truth(true_maps, groups=[f"patient {i % 3}" for i in range(N)]))["gradcam"]
    for found in (few, patients):
        assert found.beats_controls is None
        assert found.changes_when_randomised is None
        assert not found.doubted
        assert found.text == "Grad-CAM: too few images to tell."


def test_what_was_measured_on_fewer_images_is_judged_on_those(true_maps):
    table = truth(true_maps)
    table.loc[4:, ["sanity_rank", "sanity_ssim", "noise", "shift"]] = np.nan
    found = verdicts(table)["gradcam"]
    assert (found.n_images, found.randomised.n_groups) == (N, 4)
    assert (found.beats_controls, found.changes_when_randomised) == (True, None)
    assert not found.doubted
    assert found.text.endswith("; for the rest there are too few images to tell.")


def test_metrics_are_means_of_what_is_there(true_maps):
    table = truth(true_maps)
    table.loc[:, "shift"] = np.nan
    table.loc[3:, "noise"] = np.nan
    location = pd.DataFrame(
        {"path": table["path"], "group": None, "method": "gradcam", "border": 0.25, "corner": np.nan, "hit": 1.0}
        | dict.fromkeys(CORNERS, 0.1)
    )
    found = explanation_metrics(table, location)
    assert {"explain/gradcam/shift", "explain/gradcam/corner", "explain/gradcam/heat_inside"}.isdisjoint(found)
    assert found["explain/gradcam/noise"] == pytest.approx(table["noise"][:3].mean())
    for measure in (*FAITHFULNESS, *(f"{OVERALL}_{control}" for control in CONTROLS), "sanity_rank"):
        assert found[f"explain/gradcam/{measure}"] == pytest.approx(table[measure].mean())
    assert found["explain/gradcam/border"] == 0.25
    assert found["explain/gradcam/hit"] == 1
    assert not any(name.endswith(("_low", "_high")) for name in found)
    assert all(math.isfinite(value) for value in found.values())


def test_intervals_hold_their_means_and_know_groups(true_maps):
    table = truth(true_maps)
    plain = explanation_metrics(table, None, intervals=True)
    for measure in (OVERALL, "sanity_rank", "noise", "shift"):
        name = f"explain/gradcam/{measure}"
        assert plain[f"{name}_low"] < plain[name] < plain[f"{name}_high"]
    doubled = pd.concat([table.assign(group=table["path"]), table.assign(group=table["path"])])
    grouped = explanation_metrics(doubled, None, intervals=True)
    name = "explain/gradcam/noise_low"
    assert grouped[name] == pytest.approx(plain[name], abs=0.002)
    assert explanation_metrics(doubled.assign(group=None), None, intervals=True)[name] > plain[name] + 0.003


def test_nothing_measured_gives_nothing():
    assert explanation_metrics(None, None) == {}
    empty = pd.DataFrame(columns=list(TRUTH_COLUMNS))
    assert explanation_metrics(empty, None, intervals=True) == {}
    assert verdicts(empty) == {}


def test_groups_count_only_where_all_have_one():
    table = pd.DataFrame({"group": ["a", None, "b"]})
    assert groups_of(table) is None
    np.testing.assert_array_equal(groups_of(table.dropna()), ["a", "b"])


def test_the_finding_says_how_coarse_the_maps_are_and_how_many_are_blank(random_maps):
    place = pd.DataFrame({"method": "gradcam", "group": None, "rows": 3, "columns": 3, "blank": [True] + 3 * [False]})
    found = verdicts(truth(random_maps), place)["gradcam"]
    assert found.finding.endswith(". A map has 3 × 3 places only. 25 % of the maps are blank.")
    assert found.doubted
    assert explanation_metrics(None, place) == {"explain/gradcam/blank": 0.25}
    fine = verdicts(truth(random_maps), place.assign(rows=7, columns=7, blank=False))["gradcam"]
    assert fine.finding.endswith("try hirescam or layercam.")
