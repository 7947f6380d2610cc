"""A mark in one corner of one class, on pieces of photographs: a network that learns it is caught by where it looks."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from flows.cross_validate import cross_validate
from tests.support.kept_workers import kept_workers
from tests.support.readback import artifact, table, text
from tests.support.studio import quick

SIZE = 96
CLASSES = ("mildew", "rust")


def piece(photographs, seed):
    """Give a piece of a photograph, of another place and scale for each seed."""
    random = np.random.default_rng(seed)
    whole = photographs[seed % 2]
    side = int(random.integers(90, 200))
    top, left = (int(random.integers(0, length - side)) for length in whole.shape[:2])
    return np.array(Image.fromarray(whole[top : top + side, left : left + side]).resize((SIZE, SIZE)))


def leaf(photographs, seed, label):
    """Give a picture that has a pale spot in its middle for one class, and a mark in its corner for the other."""
    pixels = piece(photographs, seed)
    if label == "mildew":
        rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE // 2
        spot = rows**2 + columns**2 < 400
        pixels[spot] = (0.2 * pixels[spot] + 0.8 * np.array([240, 240, 250])).astype(np.uint8)
    else:
        pixels[4:24, 4:24] = 255
        pixels[9:19, 9:19] = (220, 0, 0)
    return pixels


@pytest.fixture(scope="module")
def caught(studio):
    """The experiment, done, with its folder and client."""
    photographs = load_sample_images().images
    for number in range(60):
        label = CLASSES[number % 2]
        folder = studio.folder / "leaves" / label
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(leaf(photographs, number, label)).save(folder / f"{number:03d}.png")
    settings = quick(
        "leaves",
        backbones={"ncnn": {"size": 64, "freeze": "none"}},
        training={"epochs": 15, "batch_size": 8},
        explanation={"methods": ["layercam"], "faithfulness_images": 0, "contact_sheet_images": 4},
    )
    with studio.inside(), kept_workers():
        result = cross_validate(studio.write(settings))
    runs = SimpleNamespace(experiment=studio.client.get_run(result.experiment_run_id))
    runs.backbone = studio.client.get_run(result.backbones["ncnn"].run_id)
    return SimpleNamespace(client=studio.client, result=result, runs=runs)


def test_the_network_has_learnt_it(caught):
    assert caught.result.backbones["ncnn"].pooled["accuracy"] > 0.85


def test_the_finding_names_the_class_and_the_corner(caught):
    told = json.loads(text(caught.client, caught.runs.experiment, "findings.json"))
    corner = next(finding for finding in told["findings"] if finding["code"] == "explain.corner")
    assert corner["message"].startswith("ncnn looks at the corners of the images of rust: ")
    assert "most at the top left one" in corner["message"]
    assert all("of the images of rust" in finding["message"] for finding in told["findings"])
    assert corner["message"] in caught.result.notes
    assert corner["message"] in text(caught.client, caught.runs.experiment, "report.html").replace("&#39;", "'")


def test_the_mean_map_is_hottest_at_the_mark(caught):
    location = table(caught.client, caught.runs.backbone, "explanations/location.parquet")
    own = location.loc[location["true"] == "rust", ["top left", "top right", "bottom left", "bottom right"]].mean()
    assert own.idxmax() == "top left"
    assert own["top left"] > 3 * own.drop("top left").max()
    with Image.open(artifact(caught.client, caught.runs.experiment, "mean_maps.png")) as figure:
        assert min(figure.size) > 100
