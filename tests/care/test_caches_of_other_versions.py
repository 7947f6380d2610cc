"""What another version of foldcam has left in the cache is made anew, never misread."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tasks.config import Data
from tasks.dataset import manifest_cache, store
from tasks.dataset.array_store import ArrayStore
from tasks.dataset.manifest import read_manifest
from tasks.dataset.mapped_array import checksum
from tasks.dataset.store import decoded_images
from tests.support.images import write_classes


@pytest.fixture
def data(tmp_path):
    return Data(path=write_classes(tmp_path / "images", {"a": 3, "b": 3}))


def spoilt(arrays):
    """Make the arrays in a store wrong, with the right checksums: whoever reads one will be found out."""
    for file in arrays.root.glob("*.npy"):
        wrong = np.zeros_like(np.load(file))
        note = file.with_suffix(".json")
        fields = json.loads(note.read_text())
        np.save(file, wrong)
        note.write_text(json.dumps(fields | {"crc32": checksum(file)}))


@pytest.mark.parametrize("name", ["DECODER_VERSION", "SHAPING_VERSION"])
def test_images_that_another_decoder_or_shaping_has_kept_are_decoded_anew(data, tmp_path, monkeypatch, name):
    arrays = ArrayStore(tmp_path / "arrays", 1.0)
    manifest = read_manifest(data)
    right = np.array(decoded_images(manifest, 16, arrays))
    spoilt(arrays)
    assert not np.array(decoded_images(manifest, 16, ArrayStore(arrays.root, 1.0))).any()
    monkeypatch.setattr(store, name, f"{getattr(store, name)}-next")
    assert np.array_equal(decoded_images(manifest, 16, ArrayStore(arrays.root, 1.0)), right)


@pytest.mark.parametrize("name", ["DECODER_VERSION", "FACTS_VERSION"])
def test_facts_that_another_version_has_found_are_found_anew(data, tmp_path, monkeypatch, name):
    seen = []
    read_manifest(data, cache_dir=tmp_path / "facts", progress=lambda _, total: seen.append(total))
    seen.clear()
    read_manifest(data, cache_dir=tmp_path / "facts", progress=lambda _, total: seen.append(total))
    assert not any(seen)
    monkeypatch.setattr(manifest_cache, name, f"{getattr(manifest_cache, name)}-next")
    read_manifest(data, cache_dir=tmp_path / "facts", progress=lambda _, total: seen.append(total))
    assert max(seen) == 6


def test_facts_with_other_columns_are_not_read(data, tmp_path):
    import pyarrow.parquet as pq

    first = read_manifest(data, cache_dir=tmp_path / "facts")
    (file,) = (tmp_path / "facts").glob("*.parquet")
    pq.write_table(pq.read_table(file).drop_columns(["sharpness"]), file)
    again = read_manifest(data, cache_dir=tmp_path / "facts")
    assert again.digest == first.digest
    assert "sharpness" in pq.read_schema(file).names


def test_frozen_features_are_named_by_the_versions_that_made_them(monkeypatch, tmp_path):
    import tasks.training.activations as activations
    from tasks.backbones.build import build_model

    built = build_model("ncnn", n_outputs=2, size=34, freeze="base")
    keeper = activations.Keeper(built, "digest", 4, ArrayStore(tmp_path, 1.0), "float32")
    before = keeper._key("conv_2x2_")
    assert set(before["versions"]) == {"foldcam", "keras", "tensorflow"}
    monkeypatch.setattr(activations, "version", lambda _: "9.9")
    assert keeper._key("conv_2x2_") != before
