"""Manifests of tables and arrays, from the reader to the decoded images and the folds."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tasks.config import Data, Folds, InputError
from tasks.dataset.audit.audit import audit
from tasks.dataset.folds.assignment import assign_folds, fold_rows
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.pixels.addresses import open_image
from tasks.dataset.pixels.images import resize
from tasks.dataset.store import decoded_images, open_store


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def leaves(tmp_path, paint):
    """Study B's folder with a site, a patient and a split."""
    rows = ["image,labels,site,plant,split"]
    for number in range(24):
        paint(tmp_path / "images" / f"{number:02d}.jpg", seed=number)
        label, split = ("scab", "healthy")[number % 2], "test" if number >= 20 else "train"
        rows.append(f"{number:02d},{label},{'north' if number % 3 else ''},{number // 2},{split}")
    (tmp_path / "train.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.fixture
def retina(tmp_path):
    """Study C's folder."""
    random = np.random.default_rng(0)
    for name, count in (("training", 20), ("validation", 10), ("test", 4)):
        np.save(tmp_path / f"{name}.npy", random.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8))
        if name != "test":
            grades = "".join(f"{number % 5}\n" for number in range(count))
            (tmp_path / f"{name}.csv").write_text("diagnosis\n" + grades)
    return tmp_path


def test_a_table_gives_labels_groups_holdout_and_other_columns(leaves, tmp_path_factory):
    data = Data(path=leaves, groups={"column": "plant"})
    manifest = read_manifest(data)
    row = manifest.table.iloc[21]
    assert row[["path", "label", "group", "split"]].tolist() == ["images/21.jpg", "healthy", "10", "holdout"]
    assert manifest.table["extra.site"].tolist()[:4] == [None, "north", "north", None]
    file = tmp_path_factory.mktemp("out") / "manifest.parquet"
    manifest.write(file)
    again = Manifest.read(file, leaves)
    assert again.table.equals(manifest.table)
    assert again.digest == manifest.digest
    fold_of_row = assign_folds(manifest, Folds(n_splits=5), seed=0)
    groups = manifest.table["group"].to_numpy()
    for fold in range(5):
        rows = fold_rows(manifest, fold_of_row, fold, validation_fraction=0.25, seed=0)
        parts = [set(groups[part]) for part in (rows.train, rows.validation, rows.test, rows.holdout)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 12


def test_other_columns_decide_no_result(leaves):
    before = read_manifest(Data(path=leaves)).digest
    text = (leaves / "train.csv").read_text()
    (leaves / "train.csv").write_text(text.replace("north", "south"))
    assert read_manifest(Data(path=leaves)).digest == before
    (leaves / "train.csv").write_text(text.replace("scab", "rust"))
    assert read_manifest(Data(path=leaves)).digest != before


def test_the_holdout_may_be_another_split_or_both(retina):
    def held(holdout):
        table = read_manifest(Data(path=retina, holdout=holdout, unlabelled="skip")).table
        return int((table["split"] == "holdout").sum())

    assert (held("test"), held("val"), held("none"), held(["val"])) == (0, 10, 0, 10)
    with pytest.raises(InputError, match="no split test"):
        held(["val", "test"])


def test_arrays_are_decoded_shown_and_audited_as_files_are(retina):
    manifest = read_manifest(Data(path=retina, unlabelled="skip"))
    assert manifest.classes == ("0", "1", "2", "3", "4")
    assert len(manifest.table) == 30
    assert manifest.rejected["path"].tolist() == [f"test.npy#{row}" for row in range(4)]
    assert set(manifest.rejected["reason"]) == {"it has no label"}
    decoded = decoded_images(manifest, 4, open_store())
    training = np.load(retina / "training.npy")
    place = manifest.table["path"].tolist().index("training.npy#13")
    assert np.array_equal(decoded[place], resize(training[13], 4))
    assert np.array_equal(open_image(manifest.root, "training.npy#13"), training[13])
    fold_of_row = assign_folds(manifest, Folds(n_splits=5), seed=0)
    page = audit(manifest, fold_of_row, Data(path=retina)).to_html()
    assert "training.npy#" in page


def test_a_changed_array_is_read_again_and_an_unchanged_one_is_not(retina, tmp_path_factory):
    notes = tmp_path_factory.mktemp("notes")
    data = Data(path=retina, unlabelled="skip")
    seen = []
    first = read_manifest(data, cache_dir=notes, progress=lambda done, _: seen.append(done))
    assert len(seen) == 30
    read_manifest(data, cache_dir=notes, progress=lambda done, _: seen.append(done))
    assert len(seen) == 30
    shutil.copy(retina / "training.npy", retina / "kept")
    np.save(retina / "training.npy", 255 - np.load(retina / "kept"))
    second = read_manifest(data, cache_dir=notes, progress=lambda done, _: seen.append(done))
    assert len(seen) == 50
    assert second.digest != first.digest


def test_images_that_a_table_names_and_nobody_has_are_rejected(leaves):
    (leaves / "images/03.jpg").unlink()
    with pytest.raises(InputError, match=r"line 5: 03 \(is not there\)"):
        read_manifest(Data(path=leaves))
    manifest = read_manifest(Data(path=leaves, on_corrupt="skip"))
    assert len(manifest.table) == 23
    assert manifest.rejected["path"].tolist() == ["03"]


def test_grades_are_in_the_order_of_their_numbers(tmp_path, paint):
    rows = ["image,label"] + [f"{number},{number % 11}" for number in range(22)]
    for number in range(22):
        paint(tmp_path / f"{number}.png", seed=number)
    (tmp_path / "grades.csv").write_text("\n".join(rows))
    assert read_manifest(Data(path=tmp_path)).classes == tuple(map(str, range(11)))
