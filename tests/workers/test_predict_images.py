from __future__ import annotations

import io
import tracemalloc
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.drift.predicted import summarise
from tasks.config import InputError
from tasks.dataset.drift_reference import statistics_of
from tasks.dataset.image_lists import listed_images
from tasks.dataset.targets import Targets
from tasks.workers import predict_images as work
from tasks.workers.predict_images import PART, predict_images, prediction_fingerprint, result_columns
from tasks.workers.prediction_parts import (
    check_not_read,
    check_out_file,
    overlay_folder,
    parts_folder,
    unfinished_parts,
    without_results,
)


@dataclass
class ByBrightness:
    """Says `light` or `dark` by the mean grey level."""

    fails_at: int | None = None
    seen: list[int] = field(default_factory=list)
    fingerprint: str = "by brightness"
    title: str = "by brightness"
    version: str | None = "3"
    targets: Targets = field(default_factory=lambda: Targets(("dark", "light")))
    ground: tuple[int, int, int] = (255, 255, 255)
    reference: pd.DataFrame | None = None

    def predict(self, pictures, *, explain):
        if self.fails_at is not None and len(self.seen) >= self.fails_at:
            raise KeyboardInterrupt
        self.seen.append(len(pictures))
        light = np.array([picture.mean() / 255 for picture in pictures])
        label = np.where(light > 0.5, "light", "dark")
        table = pd.DataFrame({"label": label, "probability": np.maximum(light, 1 - light)})
        table = table.assign(**{"prob/dark": 1 - light, "prob/light": light, "abstains": np.abs(light - 0.5) < 0.1})
        return table.assign(overlay=[png(picture) for picture in pictures]) if explain else table


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def write(folder, levels, size=(6, 5)):
    folder.mkdir(parents=True, exist_ok=True)
    for number, level in enumerate(levels):
        Image.new("L", size, level).save(folder / f"{number:04d}.png")


def run(place, out, own, *, explain=False, batch_size=8, fresh=False, steps=None):
    steps = [] if steps is None else steps
    with listed_images(str(place)) as images:
        fingerprint = prediction_fingerprint(images, own, explain=explain)
        with unfinished_parts(out, fingerprint, fresh=fresh) as parts:
            n_reused = work.n_done(parts, len(images))
            predict_images(
                images, own, parts, batch_size=batch_size, explain=explain, report=lambda *step: steps.append(step)
            )
            found = summarise(parts, own, out, n_reused)
            parts.finish(result_columns(own, parts.columns()))
    return found


def read(out):
    return pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_every_image_has_a_row_in_order(tmp_path, ending):
    levels = [0, 255, 51, 204, 102]
    write(tmp_path / "in", levels)
    out, steps = tmp_path / f"out.{ending}", []
    found = run(tmp_path / "in", out, ByBrightness(), steps=steps)
    table = read(out)
    columns = ["image", "label", "probability", "prob/dark", "prob/light", "abstains", "error"]
    assert table.columns.tolist() == columns
    assert table["image"].tolist() == [f"{tmp_path}/in/{number:04d}.png" for number in range(5)]
    assert table["label"].tolist() == ["dark", "light", "dark", "light", "dark"]
    np.testing.assert_allclose(table["prob/light"], np.array(levels) / 255)
    assert table["abstains"].tolist() == [False, False, False, False, True]
    assert (found.labels, found.n_abstained, found.n_failed) == ({"dark": 3, "light": 2}, 1, 0)
    assert steps[-1] == (5, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", out.name]


def test_a_bad_image_is_a_row_with_the_reason(tmp_path):
    write(tmp_path / "in", [0, 255, 255])
    (tmp_path / "in" / "0001.png").write_bytes(b"")
    found = run(tmp_path / "in", tmp_path / "out.parquet", ByBrightness())
    table = read(tmp_path / "out.parquet")
    assert table["error"][1] == "the file is empty"
    assert table["label"].isna().tolist() == [False, True, False]
    assert table["error"].isna().tolist() == [True, False, True]
    assert found.status == "partial"
    assert found.errors == ((f"{tmp_path}/in/0001.png", "the file is empty"),)
    assert sum(found.labels.values()) == 2


def test_where_no_image_can_be_read_nothing_is_written(tmp_path):
    write(tmp_path / "in", [0, 0])
    for file in (tmp_path / "in").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(InputError, match="None of 2 images can be predicted"):
        run(tmp_path / "in", tmp_path / "out.csv", ByBrightness())
    assert not (tmp_path / "out.csv").exists()


def test_transparency_is_laid_on_the_models_own_ground(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "in" / "clear.png")
    run(tmp_path / "in", tmp_path / "out.csv", ByBrightness())
    assert read(tmp_path / "out.csv")["label"].tolist() == ["light"]


def test_a_call_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "PART", 10)
    write(tmp_path / "in", [0, 255] * 13)
    out, first = tmp_path / "out.parquet", ByBrightness(fails_at=4)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in", out, first)
    assert not out.exists()
    second = ByBrightness()
    found = run(tmp_path / "in", out, second)
    assert (sum(first.seen), sum(second.seen)) == (20, 6)
    assert found.n_reused == 20
    assert read(out)["label"].tolist() == ["dark", "light"] * 13
    assert [path.name for path in tmp_path.iterdir() if "parts" in path.name] == []


@pytest.mark.parametrize("change", ["an image", "the model", "explain", "fresh"])
def test_what_changed_meanwhile_is_begun_anew(tmp_path, monkeypatch, change):
    monkeypatch.setattr(work, "PART", 4)
    write(tmp_path / "in", [0] * 8)
    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in", out, ByBrightness(fails_at=1))
    own = ByBrightness(fingerprint="another" if change == "the model" else "by brightness")
    if change == "an image":
        Image.new("L", (7, 7), 255).save(tmp_path / "in" / "0000.png")
    found = run(tmp_path / "in", out, own, explain=change == "explain", fresh=change == "fresh")
    assert (sum(own.seen), found.n_reused) == (8, 0)
    assert read(out)["label"][0] == ("light" if change == "an image" else "dark")


def test_overlays_lie_beside_the_table_and_are_named_in_it(tmp_path):
    write(tmp_path / "in", [30, 200])
    (tmp_path / "in" / "0002.png").write_bytes(b"no image")
    out = tmp_path / "out.csv"
    run(tmp_path / "in", out, ByBrightness(), explain=True)
    table = read(out)
    assert np.asarray(Image.open(tmp_path / table["overlay"][1])).mean() == 200
    assert table["overlay"].isna().tolist() == [False, False, True]
    assert len(list(overlay_folder(out).iterdir())) == 2


def test_a_batch_of_large_pictures_is_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "MOST_BYTES", 3 * 40 * 40 * 2)
    write(tmp_path / "in", [0] * 7, size=(40, 40))
    own = ByBrightness()
    run(tmp_path / "in", tmp_path / "out.csv", own)
    assert own.seen == [3, 3, 1]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    peaks = []
    for number in (PART, 6 * PART):
        write(tmp_path / f"in{number}", [100] * number)
        tracemalloc.start()
        run(tmp_path / f"in{number}", tmp_path / f"out{number}.parquet", ByBrightness())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2_000_000


def test_drift_is_told_where_the_model_knows_its_training_images(tmp_path):
    rng = np.random.default_rng(0)
    trained = statistics_of([np.full((5, 6, 3), level, np.uint8) for level in rng.integers(0, 120, 60)])
    own = ByBrightness(reference=trained.assign(group=range(60), label="dark"))
    write(tmp_path / "in", rng.integers(140, 255, 30).tolist())
    found = run(tmp_path / "in", tmp_path / "out.csv", own)
    assert found.drift["drifted"]
    assert any("Brighter" in line for line in found.drift["said"])
    found.write_drift()
    assert found.drift_file.name == "out_drift.json"


@pytest.mark.parametrize(
    ("prepare", "fresh", "part"),
    [
        ("out.txt", False, "is no table's name"),
        ("folder.csv/", False, "is a folder"),
        ("out.csv", False, "nothing is overwritten"),
        ("out_overlays/x.txt", True, "holds what is no overlay"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path, prepare, fresh, part):
    there = tmp_path / prepare
    if prepare.endswith("/"):
        there.mkdir()
    elif prepare != "out.txt":
        there.parent.mkdir(exist_ok=True)
        there.write_text("mine")
    out = tmp_path / {"out.txt": "out.txt", "folder.csv/": "folder.csv"}.get(prepare, "out.csv")
    with pytest.raises(InputError, match=part):
        check_out_file(out, fresh=fresh)


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(InputError, match="File name too long"):
        check_out_file(tmp_path / f"{'x' * 249}.csv", fresh=False)


def test_the_list_of_images_is_not_replaced_by_its_predictions(tmp_path):
    mine = tmp_path / "list.csv"
    check_not_read(str(mine), mine)
    mine.write_text("image\n1.png\n")
    with pytest.raises(InputError, match="is what is to be predicted"):
        check_not_read(f"{tmp_path}/../{tmp_path.name}/list.csv", mine)
    check_not_read(str(mine), tmp_path / "out.csv")


def test_overlays_in_the_folder_of_images_are_not_predicted(tmp_path):
    out = tmp_path / "in" / "out.csv"
    write(tmp_path / "in", [0, 255])
    for folder in (overlay_folder(out), parts_folder(out) / "overlays"):
        write(folder, [7])
    with listed_images(str(tmp_path / "in")) as images:
        assert len(images) == 4
        assert [image.address for image in without_results(images, out)] == ["0000.png", "0001.png"]
        assert without_results(images, tmp_path / "other.csv") == images
    with (
        listed_images(str(overlay_folder(out))) as images,
        pytest.raises(InputError, match="All images there are overlays"),
    ):
        without_results(images, out)


def test_two_calls_do_not_write_one_table(tmp_path):
    with (
        unfinished_parts(tmp_path / "out.csv", "one", fresh=False),
        pytest.raises(InputError, match="another command"),
        unfinished_parts(tmp_path / "out.csv", "one", fresh=False),
    ):
        pass


def test_a_folder_of_anothers_is_not_replaced(tmp_path):
    mine = tmp_path / "out.csv.parts" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with (
        pytest.raises(InputError, match="holds something else"),
        unfinished_parts(tmp_path / "out.csv", "x", fresh=True),
    ):
        pass
    assert mine.read_text() == "mine"
