"""Data in the buckets of a real S3-compatible server."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from flows.runners import free_port
from tasks.comparison.experiment import opening_content
from tasks.config import Data, InputError
from tasks.dataset.manifest import read_manifest
from tasks.dataset.sources.remote import address_of, at_hand
from tasks.experiment_file import read_experiment
from tasks.planning import load_plan
from tasks.tracking.records import Dataset, Params
from tests.support.command import foldcam
from tests.support.images import picture, write_classes
from tests.support.s3 import s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def user(server, monkeypatch, tmp_path):
    """A user's environment: the server and the credentials, nothing from the machine's own settings."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def folder(server, tmp_path, request):
    """Give a folder of images that is in the bucket too, and its address."""
    folder = write_classes(tmp_path / "images", {"cat": 4, "dog": 4})
    server.upload(folder, request.node.name)
    return folder, f"s3://data/{request.node.name}"


def read(address, home, **options):
    with at_hand(Data(path=address), home, **options) as local:
        return read_manifest(local)


def refused(address, home):
    with pytest.raises(InputError) as caught:
        read(address, home)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"data.path: {address}")
    return text


def png(seed):
    out = io.BytesIO()
    Image.fromarray(picture(1, seed)).save(out, format="PNG")
    return out.getvalue()


def states(root):
    """Give what changes with a file that is written anew."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_bucket_gives_the_manifest_of_the_folder(user, folder, tmp_path):
    local, address = folder
    manifest = read(address, tmp_path / "home")
    assert manifest.digest == read_manifest(Data(path=local)).digest
    assert address_of(manifest.root) == address


def test_only_what_changed_is_fetched_again(user, server, folder, tmp_path):
    _, address = folder
    prefix = address.removeprefix("s3://data/")
    root = read(address, tmp_path / "home").root
    first = states(root)
    done = []
    read(address, tmp_path / "home", progress=lambda *numbers: done.append(numbers))
    assert states(root) == first
    assert done == []
    changed, new = png(90), png(91)
    server.put(f"{prefix}/cat/001.png", changed)
    server.put(f"{prefix}/dog/sub/new.png", new)
    server.delete(f"{prefix}/cat/000.png")
    read(address, tmp_path / "home", progress=lambda *numbers: done.append(numbers))
    second = states(root)
    assert done == [(1, 2), (2, 2)]
    assert set(second) == set(first) - {"cat/000.png"} | {"dog/sub/new.png"}
    assert {name for name in second if second[name] != first.get(name)} == {"cat/001.png", "dog/sub/new.png"}
    assert (root / "cat/001.png").read_bytes() == changed
    server.delete(f"{prefix}/dog/sub/new.png")
    read(address, tmp_path / "home")
    assert not (root / "dog/sub").exists()


def test_names_of_all_kinds_come_through(user, server, folder, tmp_path):
    _, address = folder
    odd = ["cat/blank name.png", "cat/100%.png", "cat/a+b=c.png", "cat/Größe_№1.png", "cat/a#b?c.png"]
    for seed, name in enumerate(odd):
        server.put(f"{address.removeprefix('s3://data/')}/{name}", png(seed))
    server.put(f"{address.removeprefix('s3://data/')}/empty/", b"")
    assert set(odd) < set(read(address, tmp_path / "home").table["path"])


def test_a_key_that_would_leave_the_folder_is_refused(user, server, folder, tmp_path):
    _, address = folder
    server.put(f"{address.removeprefix('s3://data/')}/cat/../../../out.png", png(0))
    with pytest.raises(InputError, match=r"\.\./out\.png"):
        read(address, tmp_path / "home")
    assert not list(tmp_path.rglob("out.png"))


def test_an_archive_in_a_bucket_is_read(user, server, folder, tmp_path):
    local, _ = folder
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", local)
    server.put("packed/images.zip", Path(archive).read_bytes())
    manifest = read("zip://::s3://data/packed/images.zip", tmp_path / "home")
    assert manifest.digest == read_manifest(Data(path=local)).digest


def test_a_table_in_a_bucket_brings_only_what_it_names(user, server, folder, tmp_path):
    _, address = folder
    rows = [f"{kind}/00{number},{kind}" for kind in ("cat", "dog") for number in (1, 2)]
    server.put(f"{address.removeprefix('s3://data/')}/t.csv", "\n".join(["image,label", *rows]).encode())
    manifest = read(f"{address}/t.csv", tmp_path / "home")
    assert manifest.table["path"].tolist() == [f"{row.split(',')[0]}.png" for row in rows]
    assert len(list(manifest.root.rglob("*.png"))) == 4


def test_a_wrong_bucket_or_folder_is_said(user, tmp_path):
    assert "bucket does not exist" in refused("s3://nowhere/images", tmp_path / "home")
    assert "no such bucket, folder or file" in refused("s3://data/nowhere", tmp_path / "home")


def test_missing_credentials_are_said(user, folder, tmp_path):
    _, address = folder
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        user.delenv(name)
    said = refused(address, tmp_path / "home")
    assert "no credentials" in said
    assert "AWS_ACCESS_KEY_ID" in said


def test_a_bucket_that_is_open_to_everybody_needs_no_credentials(user, server, folder, tmp_path):
    server.open_to_everybody()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        user.delenv(name)
    try:
        assert len(read(folder[1], tmp_path / "home").table) == 8
    finally:
        server.close_to_others()


def test_a_server_that_is_not_there_is_said(user, tmp_path):
    user.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    said = refused("s3://data/x", tmp_path / "home")
    assert "cannot be reached" in said
    assert "AWS_ENDPOINT_URL" in said


def test_the_command_checks_data_in_a_bucket(user, server, folder, tmp_path, monkeypatch, caplog):
    _, address = folder
    user.setenv("AWS_SECRET_ACCESS_KEY", "this-is-a-secret")
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path / "home"))
    settings = {"name": "far", "data": {"path": address}, "folds": {"n_splits": 2}, "backbones": ["ncnn"]}
    file = tmp_path / "far.yaml"
    file.write_text(yaml.safe_dump(settings))
    with caplog.at_level(logging.INFO):
        answer = foldcam("check", str(file), "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["n_images"] == 8
    assert found["root"] == address
    assert "this-is-a-secret" not in answer.out + answer.err + caplog.text
    assert "this-is-a-secret" not in "".join(
        path.read_text(errors="replace")
        for path in (tmp_path / "home").rglob("*")
        if path.suffix in (".json", ".jsonl")
    )
    plan = load_plan(read_experiment(file))
    records = list(opening_content(plan, tmp_path, "", ""))
    assert [record.source for record in records if isinstance(record, Dataset)] == [address]
    assert [record.values["data.path"] for record in records if isinstance(record, Params)] == [address]
    assert yaml.safe_load((tmp_path / "experiment.yaml").read_text())["data"]["path"] == address
    answer = foldcam("check", str(file), "--set", f"data.path={address}/nowhere")
    assert f"{address}/nowhere" in answer.refused()
