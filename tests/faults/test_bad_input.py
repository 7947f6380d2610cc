from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.studio import make_studio, one_json, quick


@pytest.fixture
def place(tmp_path, empty_store):
    """A studio without Prefect: nothing here may come as far as that."""
    studio = make_studio(tmp_path / "place", empty_store, "http://127.0.0.1:9/api")
    with studio.inside():
        yield studio


def run(place, **changes):
    return foldcam("run", place.write(quick("images", **changes)))


def test_a_class_with_fewer_images_than_folds_is_refused_with_the_largest_number_that_works(place):
    write_classes(place.folder / "images", {"many": 12, "rare": 3})
    message = run(place, folds={"n_splits": 5}).refused()
    assert "rare" in message
    assert "n_splits" in message
    assert "3" in message


def test_a_group_too_large_to_split_is_refused_by_name(place):
    for label, patients in {"sick": ["A"], "well": ["A", "B", "C"]}.items():
        for patient in patients:
            folder = place.folder / "images" / label
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(4):
                pixels = np.random.default_rng([number, len(patient)]).integers(0, 256, (34, 34, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{patient}_{number}.png")
    data = {"path": "images", "groups": "/(?P<group>[A-Z])_"}
    message = run(place, data=data, folds={"n_splits": 3}).refused()
    assert "sick" in message
    assert "group" in message


def broken_images(place):
    folder = write_classes(place.folder / "images", {"a": 6, "b": 6})
    (folder / "a" / "torn.png").write_bytes((folder / "a" / "000.png").read_bytes()[:200])
    (folder / "b" / "text.jpg").write_text("this is no picture", encoding="utf-8")


def test_unreadable_images_stop_everything_by_default_and_are_named(place):
    broken_images(place)
    message = run(place).refused()
    assert "a/torn.png" in message
    assert "b/text.jpg" in message
    assert "on_corrupt: skip" in message
    assert place.runs() == []


def test_unreadable_images_can_be_skipped_and_are_listed(place):
    broken_images(place)
    file = place.write(quick("images", data={"path": "images", "on_corrupt": "skip"}))
    answer = foldcam("check", file, "--json")
    assert answer.code == 0, answer.err
    found = one_json(answer.out)
    assert found["n_images"] == 12
    assert found["n_unreadable"] == 2
    images = {entry["code"]: entry["images"] for entry in found["findings"]}
    assert (images["files.truncated"], images["files.no_image"]) == (["a/torn.png"], ["b/text.jpg"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backbones": ["vgg61"]}, ["vgg61", "vgg16"]),
        ({"backbones": {"ncnn": {"size": 40}}}, ["40", "ncnn"]),
        ({"backbones": {"vgg16": {"size": 20}}}, ["20", "32", "vgg16"]),
        ({"backbones": {"vgg16": {"freeze": "botom"}}}, ["botom", "last_block"]),
        ({"backbones": {"vgg16": {"weights": "imagnet"}}}, ["imagnet", "nearest: imagenet"]),
        ({"backbones": {"vgg16": {"weights": "gone.h5"}}}, ["gone.h5"]),
        ({"evaluation": {"metric": "accurracy"}}, ["accurracy", "accuracy"]),
        ({"explanation": {"colormap": "rainbows"}}, ["rainbows"]),
        ({"data": {"path": "imagse"}}, ["imagse"]),
        ({"folds": {"n_splits": 2, "file": "folds.csv"}}, ["folds.csv"]),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_logged(place, changes, told):
    write_classes(place.folder / "images", {"a": 6, "b": 6})
    message = run(place, **changes).refused()
    for text in told:
        assert text in message
    assert place.runs() == []


def test_one_class_is_no_comparison(place):
    write_classes(place.folder / "images", {"only": 6})
    assert "two classes" in run(place).refused()


def test_an_mlflow_server_that_does_not_answer_is_said_with_its_address(place, monkeypatch):
    write_classes(place.folder / "images", {"a": 6, "b": 6})
    import mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    message = run(place).refused()
    assert "http://127.0.0.1:9" in message
    assert "MLFLOW_TRACKING_URI" in message


def test_a_prefect_server_that_does_not_answer_is_said_with_its_address(place, monkeypatch):
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    write_classes(place.folder / "images", {"a": 6, "b": 6})
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        message = run(place).refused()
    assert "http://127.0.0.1:9/api" in message
    assert place.runs() == []


def test_names_that_look_like_markup_or_paths_are_shown_as_they_are_and_write_nothing_elsewhere(place):
    names = ["[/]", "[red]x[/red]", "..", "../../a"]
    write_classes(place.folder / "images", {"some": 24})
    rows = "".join(f"some/{row:03d}.png,{names[row % 4]}\n" for row in range(24))
    (place.folder / "images" / "t.csv").write_text("image,label\n" + rows, encoding="utf-8")
    before = sorted(place.folder.rglob("*"))
    answer = foldcam("check", place.write(quick("images", name="[/] ../x")), "--out", str(place.folder / "out"))
    assert answer.code == 0, answer.err
    for name in names:
        assert name in answer.out
    made = set(place.folder.rglob("*")) - set(before) - {place.folder / "experiment.yaml"}
    assert {path.relative_to(place.folder).parts[0] for path in made} <= {"out", "cache"}


def test_one_image_a_class_cannot_be_cut_and_two_leave_none_to_validate(place):
    write_classes(place.folder / "images", {"a": 1, "b": 1})
    assert "No number of folds works" in run(place).refused()
    write_classes(place.folder / "more", {"a": 2, "b": 2})
    assert "validation" in run(place, data={"path": "more"}).refused()


def test_a_starter_file_is_not_written_over_another_nor_where_that_is_not_possible(place):
    write_classes(place.folder / "images", {"a": 6, "b": 6})
    (place.folder / "there.yaml").write_text("mine", encoding="utf-8")
    for out in ("there.yaml", "no/where.yaml", "a" * 300 + ".yaml", "there.yaml/x.yaml"):
        assert out[:50] in foldcam("init", "images", "--out", out).refused()
    assert (place.folder / "there.yaml").read_text(encoding="utf-8") == "mine"
