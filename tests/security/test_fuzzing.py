"""Whatever stands in a file: it is read, or refused with a reason; nothing else happens."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.config import Experiment, InputError
from tasks.dataset.pixels.decoding import ImageError, decode
from tasks.dataset.sources.table import read_table
from tasks.experiment_file import read_experiment

ROUNDS = int(os.environ.get("FOLDCAM_FUZZ_ROUNDS", "150"))
fuzzed = settings(max_examples=ROUNDS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = [*Experiment.model_fields, "path", "labels", "kind", "groups", "head", "epochs", "n_splits", "!!python/name", ""]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
MODES = ["RGB", "L", "P", "1", "RGBA", "CMYK", "I;16", "F"]
FORMATS = {"PNG": MODES[:5], "JPEG": ["RGB", "L", "CMYK"], "TIFF": MODES, "GIF": ["L", "P"], "WEBP": ["RGB", "RGBA"]}


def refused_plainly(fault, name=""):
    assert str(fault).strip()
    assert name in str(fault)
    assert "Traceback" not in str(fault)


def read(path):
    """Read an experiment file; give it, or None where it was refused."""
    try:
        return read_experiment(path)
    except InputError as fault:
        refused_plainly(fault, path.name)
        return None


@fuzzed
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), VALUES, max_size=5))
def test_any_structure_is_an_experiment_or_refused(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "data": {"path": "."}} | content, allow_unicode=True), "utf-8")
    found = read(path)
    if found is not None:
        assert Experiment.model_validate(found.model_dump(mode="json")) == found


@fuzzed
@given(st.binary(max_size=200) | st.text(st.sampled_from("ab:-[]{}&*!|>'\"\n\t #%@`,?0"), max_size=60).map(str.encode))
def test_any_bytes_are_an_experiment_or_refused(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    assert read(path) is None


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.system ['touch ran']",
        "!!python/object/new:os.system [touch ran]",
        "name: &a [*a]",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nname: [*c, *c]",
        "data: {path: ${oc.env:HOME}}\nname: {{ 7 * 7 }}",
    ],
)
def test_a_file_that_would_do_something_does_nothing(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert read(path) is None
    assert [file.name for file in tmp_path.iterdir()] == ["x.yaml"]


@fuzzed
@given(st.binary(max_size=300), st.sampled_from([".csv", ".tsv", ".parquet", ".xlsx", ".npz"]))
def test_any_bytes_are_a_table_or_refused(tmp_path, content, ending):
    path = tmp_path / f"t{ending}"
    path.write_bytes(content)
    try:
        table = read_table(path)
    except InputError as fault:
        refused_plainly(fault, path.name)
    else:
        assert all(len(table.column(place)) == len(table.rows) for place in range(len(table.columns)))


def picture(form, mode):
    """Give an image file's bytes."""
    stream = io.BytesIO()
    shades = np.arange(12 * 9, dtype=np.uint16).reshape(9, 12)
    base = Image.fromarray(shades) if mode == "I;16" else Image.fromarray((shades * 2).astype(np.uint8)).convert(mode)
    base.save(stream, form)
    return stream.getvalue()


PICTURES = [picture(form, mode) for form, modes in FORMATS.items() for mode in modes]


@fuzzed
@given(
    st.sampled_from(PICTURES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
    st.binary(max_size=8),
)
def test_a_damaged_image_is_pixels_or_refused(content, changes, share, tail):
    damaged = bytearray(content[: max(1, int(len(content) * share))])
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    try:
        pixels = decode(bytes(damaged) + tail)
    except ImageError as fault:
        refused_plainly(fault)
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
