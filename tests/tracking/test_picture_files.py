"""Tables and grid pictures, held against what MLflow's own `log_table` and `log_image` write."""

from __future__ import annotations

import json
import re

import pytest
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_LOGGED_IMAGES
from PIL import Image

from tasks.tracking.records import GridPicture, PictureTable
from tasks.tracking.writer import Writer
from tests.support.readback import artifact, tree


@pytest.fixture
def writer(uri, run_id):
    return Writer(uri, run_id)


def picture(colour, size=(40, 20)):
    return Image.new("RGB", size, colour)


def table(*colours, name="mistakes"):
    names = [f"{colour}.png" for colour in colours]
    return PictureTable(name, {"image": names, "picture": list(map(picture, colours)), "sure": [0.5] * len(colours)})


def test_a_table_reads_back_through_mlflow_with_its_pictures(writer, client, runs, run_id):
    writer.write([table("red", "blue")])
    found = client.load_table(runs.experiment_id, "mistakes.json", [run_id])
    assert found["image"].tolist() == ["red.png", "blue.png"]
    assert found["sure"].tolist() == [0.5, 0.5]
    run = client.get_run(run_id)
    for cell, colour in zip(found["picture"], [(255, 0, 0), (0, 0, 255)], strict=True):
        assert cell["type"] == "image"
        whole, small = (Image.open(artifact(client, run, cell[key])) for key in ("filepath", "compressed_filepath"))
        assert (whole.size, whole.getpixel((0, 0))) == ((40, 20), colour)
        assert small.format == "WEBP"


def test_a_table_has_the_form_that_mlflow_writes(writer, client, run_id, runs):
    writer.write([table("red")])
    other = runs.start("fold", "other", parent=None, tags={})
    columns = table("red").columns
    client.log_table(other, {key: list(values) for key, values in columns.items()}, "mistakes.json")
    mine, theirs = (
        json.loads(artifact(client, client.get_run(one), "mistakes.json").read_text()) for one in (run_id, other)
    )
    assert set(mine) == set(theirs)
    assert mine["columns"] == theirs["columns"]
    assert [type(cell) for cell in mine["data"][0]] == [type(cell) for cell in theirs["data"][0]]
    assert set(mine["data"][0][1]) == set(theirs["data"][0][1])
    mine, theirs = (client.get_run(one).data.tags[MLFLOW_LOGGED_ARTIFACTS] for one in (run_id, other))
    assert json.loads(mine) == json.loads(theirs)


def test_a_table_replaces_its_like_and_leaves_others(writer, client, run_id, runs):
    writer.write([table("red", "blue"), table("green", name="suspects")])
    writer.write([table("green")])
    assert client.load_table(runs.experiment_id, "mistakes.json", [run_id])["image"].tolist() == ["green.png"]
    listed = json.loads(client.get_run(run_id).data.tags[MLFLOW_LOGGED_ARTIFACTS])
    assert [entry["path"] for entry in listed] == ["mistakes.json", "suspects.json"]


def test_columns_of_different_lengths_are_refused(writer):
    with pytest.raises(ValueError, match="shorter"):
        writer.write([PictureTable("broken", {"a": [1, 2], "b": [1]})])


def test_a_grid_picture_has_the_names_that_mlflow_gives_and_replaces_its_like(writer, client, run_id, runs, tmp_path):
    other = runs.start("fold", "other", parent=None, tags={})
    client.log_image(other, picture("red"), key="contact_sheet", step=0)
    for colour in ("red", "blue"):
        picture(colour).save(tmp_path / "sheet.png")
        writer.write([GridPicture("contact_sheet", tmp_path / "sheet.png")])
    mine, theirs = (client.get_run(one) for one in (run_id, other))
    form = re.compile(r"images/contact_sheet\+step\+0\+timestamp\+\d+\+[0-9a-f-]{36}(\+compressed\.webp|\.png)")
    for run in (mine, theirs):
        assert sorted(form.fullmatch(path)[1] for path in tree(client, run)) == ["+compressed.webp", ".png"]
        assert run.data.tags[MLFLOW_LOGGED_IMAGES] == "True"
    [whole] = [path for path in tree(client, mine) if path.endswith(".png")]
    assert Image.open(artifact(client, mine, whole)).getpixel((0, 0)) == (0, 0, 255)
