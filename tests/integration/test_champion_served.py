from __future__ import annotations

import base64
import io
import threading
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flows.predict_images import predict_images
from tests.support.serving import in_base64, served_model

SECONDS = 2
"""How long the load is held; `tests/benchmarks` holds it for a minute."""


@pytest.fixture(scope="module")
def served(lines, tmp_path_factory):
    """The champion behind `mlflow models serve`."""
    folder = tmp_path_factory.mktemp("served")
    with served_model("models:/lines@champion", lines.studio.tracking_uri, folder) as server:
        yield server


@pytest.fixture(scope="module")
def images(lines):
    """All images of the experiment in base64, by the path that `foldcam predict` gives them."""
    files = sorted((lines.folder / "images").rglob("*.png"))
    return {f"images/{file.relative_to(lines.folder / 'images')}": in_base64(file.read_bytes()) for file in files}


def test_it_answers_what_foldcam_predict_gives(lines, served, images, tmp_path):
    with lines.studio.inside():
        found = predict_images("images", "models:/lines@champion", out=tmp_path / "out.parquet")
    expected = pd.read_parquet(found.out).set_index("image")
    status, answer = served.post({"inputs": list(images.values())})
    assert status == 200, answer
    for path, row in zip(images, answer["predictions"], strict=True):
        assert row["label"] == expected.loc[path, "label"]
        assert row["prob/down"] == pytest.approx(expected.loc[path, "prob/down"], abs=1e-6)
        assert row["abstains"] == expected.loc[path, "abstains"]


def test_an_overlay_comes_on_request(served, images):
    status, answer = served.post({"inputs": list(images.values())[:2], "params": {"explain": True}})
    assert status == 200, answer
    for row in answer["predictions"]:
        assert Image.open(io.BytesIO(base64.b64decode(row["overlay"]))).size == (30, 40)


def test_without_a_request_there_is_no_overlay(served, images):
    _, answer = served.post({"inputs": list(images.values())[:1]})
    assert "overlay" not in answer["predictions"][0]


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        (in_base64(b"no image" * 5000), "not an image in a known format"),
        ("not base64!", "base64"),
        ("/etc/hostname", "row 1"),
        ("", "row 1"),
    ],
)
def test_a_bad_image_is_answered_with_400_and_a_short_reason(served, images, bad, part):
    good = in_base64(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    status, answer = served.post({"inputs": [good, bad]})
    assert status == 400, answer
    assert "row 1" in answer["message"]
    assert part in answer["message"]
    assert len(answer["message"]) < 400


def test_a_bad_image_can_be_a_row_instead(served, images):
    bodies = [*list(images.values())[:1], in_base64(b"no image")]
    status, answer = served.post({"inputs": bodies, "params": {"on_error": "row"}})
    assert status == 200, answer
    first, second = answer["predictions"]
    assert not first["error"]
    assert "not an image" in second["error"]
    assert second["label"] is None


def test_a_request_without_images_is_answered_with_400(served):
    status, answer = served.post({"pictures": []})
    assert status == 400
    assert "inputs" in answer["message"]


def test_under_load_every_request_is_answered_and_memory_stays(served, images):
    texts = list(images.values())
    expected = served.post({"inputs": texts})[1]
    answered, wrong = 0, []
    lock, end = threading.Lock(), time.monotonic() + 2 * SECONDS

    def ask():
        nonlocal answered
        while time.monotonic() < end:
            found = served.post({"inputs": texts})
            with lock:
                answered += 1
                if found != (200, expected):
                    wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    before = served.memory()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert answered >= len(threads)
    assert served.memory() < before + 50
