from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.config import InputError
from tasks.tracking.registry import CHAMPION, FINGERPRINT, PREVIOUS, Registry, find_registry, valid_name
from tasks.tracking.store import local_path


@pytest.fixture
def add(client, run_id, runs):
    """Give a function that registers an empty model of a registered model."""

    def make(name, fingerprint="f"):
        model = client.create_logged_model(runs.experiment_id, "model", run_id)
        client.finalize_logged_model(model.model_id, "READY")
        return Registry(client, name).add(model.model_id, run_id, {FINGERPRINT: fingerprint}, f"card of {fingerprint}")

    return make


def test_versions_are_numbered_and_found_by_their_fingerprint(client, run_id, add):
    registry = Registry(client, "eyes")
    assert registry.versions() == []
    assert registry.aliases() == {}
    assert [add("eyes", "a"), add("eyes", "b"), add("other", "a")] == ["1", "2", "1"]
    assert [own.number for own in registry.versions()] == ["2", "1"]
    assert registry.with_fingerprint("a").number == "1"
    assert registry.with_fingerprint("a").run_id == run_id
    assert registry.with_fingerprint("c") is None
    assert client.get_model_version("eyes", "2").description == "card of b"


def test_the_champion_moves_and_the_one_before_is_kept_and_comes_back(client, add):
    registry = Registry(client, "eyes")
    for fingerprint in "abc":
        add("eyes", fingerprint)
    assert registry.promote("1") is None
    assert registry.aliases() == {CHAMPION: "1"}
    assert registry.promote("2") == "1"
    assert registry.promote("2") is None
    assert registry.aliases() == {CHAMPION: "2", PREVIOUS: "1"}
    assert registry.promote("3") == "2"
    assert registry.aliases() == {CHAMPION: "3", PREVIOUS: "2"}
    assert registry.back() == ("2", "3")
    assert registry.aliases() == {CHAMPION: "2", PREVIOUS: "3"}
    assert registry.back() == ("3", "2")


def test_without_a_previous_one_nothing_goes_back(client, add):
    add("eyes")
    registry = Registry(client, "eyes")
    registry.promote("1")
    with pytest.raises(InputError, match="no previous champion"):
        registry.back()
    assert registry.aliases() == {CHAMPION: "1"}


def test_where_the_champion_was_deleted_the_previous_one_comes_back(client, add):
    registry = Registry(client, "eyes")
    for fingerprint in "ab":
        add("eyes", fingerprint)
    registry.promote("1")
    registry.promote("2")
    client.delete_model_version("eyes", "2")
    assert registry.aliases() == {PREVIOUS: "1"}
    assert registry.back() == ("1", None)
    assert registry.aliases() == {CHAMPION: "1"}


def test_the_command_that_is_named_can_be_typed(client, add):
    add("my eyes")
    with pytest.raises(InputError, match="`foldcam champion 'my eyes' --promote VERSION`"):
        Registry(client, "my eyes").back()


def test_a_version_whose_folder_is_gone_has_no_files(client, add):
    add("eyes")
    registry = Registry(client, "eyes")
    version = registry.versions()[0]
    assert not registry.has_files(version)
    folder = local_path(client.get_logged_model(version.model_id).artifact_location)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text("")
    assert registry.has_files(version)
    client.delete_logged_model(version.model_id)
    assert not registry.has_files(version)
    assert registry.has_files(replace(version, model_id=""))


def test_a_registered_model_is_found_by_name_or_as_the_newest(client, add):
    with pytest.raises(InputError, match="No model is registered"):
        find_registry(client, None)
    add("eyes")
    add("leaves")
    assert find_registry(client, None).name == "leaves"
    assert find_registry(client, "eyes").name == "eyes"
    with pytest.raises(InputError, match="Is eyes meant"):
        find_registry(client, "eye")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("faces", "faces"),
        ("a/b:c", "a-b-c"),
        ("Öl Fleck", "Öl Fleck"),
        ("it's", "it-s"),
        ("/", "champion"),
        ("x\n", "x"),
    ],
)
def test_names_that_the_registry_refuses_are_made_valid(add, client, text, name):
    assert valid_name(text) == name
    add(name)
    assert len(Registry(client, name).versions()) == 1
