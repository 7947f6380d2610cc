"""Values of an experiment file that are none, paths that no file can have, and secrets: one paragraph each."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from tasks.config import Data, Experiment, InputError
from tasks.experiment_file import read_experiment

PASSWORD = "open-sesame"


@pytest.fixture
def refused(tmp_path):
    """Give the message with which a text is refused; it is one paragraph."""

    def message(text, *overrides):
        path = tmp_path / "a.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as caught:
            read_experiment(path, overrides)
        said = str(caught.value)
        assert said.isprintable()
        assert said.endswith((".", ".)", "?"))
        return said

    return message


@pytest.mark.parametrize(
    "value",
    [
        *("2020-99-99", "2020-01-01 99:99:99", "0x_", "0b_", "1" * 5000, "1" * 400),
        *("!!float abc", "!!int abc", "!!bool abc", "!!timestamp abc"),
    ],
)
def test_dates_and_numbers_that_are_none_are_told_with_their_line(refused, value):
    said = refused(f"description: x\nname: {value}\ndata: {{path: x}}\n")
    assert "not valid YAML" in said
    assert "line 2" in said
    assert "quotes" in said


@pytest.mark.parametrize("classes", ["[no, yes]", "[2020-01-01, b]", "[~, b]"])
def test_words_that_yaml_takes_for_something_else_are_told_to_need_quotes(refused, classes):
    assert "write it in quotes" in refused(f"name: a\ndata: {{path: x, classes: {classes}}}\n")


def test_a_key_that_yaml_takes_for_something_else_is_told_to_need_quotes(refused):
    assert "data.1: the key True is no text" in refused("name: a\ndata: {path: x, on: 3}\n")


def test_what_is_given_is_shown_in_part_where_it_is_long(refused):
    assert len(refused(f"name: a\nseed: {'a' * 900}\ndata: {{path: x}}\n")) < 400


def test_numbers_are_names_of_classes_and_labels():
    labels = {"kind": "multilabel", "none_label": 0, "rules": [{"label": 1, "contains": [7]}], "otherwise": 2}
    data = Data(path="x", classes=[3, 10], labels=labels)
    assert data.classes == ["3", "10"]
    assert (data.labels.none_label, data.labels.rules[0].label, data.labels.otherwise) == ("0", "1", "2")


@pytest.mark.parametrize("labels", ["{otherwise: ''}", "{rules: [{label: a, contains: ''}]}"])
def test_labels_and_texts_of_rules_are_not_empty(refused, labels):
    assert "at least 1" in refused(f"name: a\ndata: {{path: x, labels: {labels}}}\n")


@pytest.mark.parametrize(
    "place",
    [
        "data: {path: PATH}",
        "data: {path: x, table: {file: PATH}}",
        "data: {path: x, table: {folder: PATH}}",
        "data: {path: x, groups: {table: PATH}}",
        "data: {path: x}\nfolds: {file: PATH}",
        "data: {path: x}\nmodel: {weights: PATH}",
        "data: {path: x}\nbackbones: {ncnn: {weights: PATH}}",
    ],
)
@pytest.mark.parametrize(
    ("path", "told"),
    [
        ('"a/\\0.h5"', "control characters"),
        ('"a/\\n.h5"', "control characters"),
        ("a/" + "b" * 256 + ".h5", "255"),
        ("b/" * 2500 + "b.h5", "4,096"),
        ("~nobody-of-this-name/b.h5", "no user 'nobody-of-this-name'"),
    ],
)
def test_a_path_that_no_file_can_have_is_told(refused, place, path, told):
    assert told in refused(f"name: a\n{place.replace('PATH', path)}\n")


def test_half_a_character_is_told(refused):
    assert "control characters" in refused('name: a\ndata: {path: "a\\ud800"}\n')


@pytest.mark.parametrize(
    "text",
    [
        "data: {path: 'https://me:PASSWORD@host/x'}",
        "data: {path: 'https://PASSWORD@host/x'}",
        "data: {path: 'zip://::https://me:PASSWORD@host/x.zip'}",
        "data: {path: 'https://host/x?X-Amz-Signature=PASSWORD'}",
        "data: {path: 'https:/me:PASSWORD@host/x'}",
        "data: {path: ['https://me:PASSWORD@host/x']}",
        "data: 'https://me:PASSWORD@host/x'",
        "data: {path: x, table: {file: 'https://me:PASSWORD@host/x.csv'}}",
        "data: {path: x, groups: {table: 'https://me:PASSWORD@host/x.csv'}}",
        "data: {path: x}\nfolds: {file: 'https://me:PASSWORD@host/x.csv'}",
        "data: {path: x}\nmodel: {weights: 'https://me:PASSWORD@host/x.h5'}",
        "data: {path: x}\nseed: 'https://me:PASSWORD@host/x.h5'",
    ],
)
def test_a_secret_is_never_shown_whatever_key_it_was_given_to(refused, text):
    assert PASSWORD not in refused(f"name: a\n{text.replace('PASSWORD', PASSWORD)}\n")


def test_a_secret_in_an_override_that_is_no_yaml_is_not_shown(refused):
    said = refused("name: a\ndata: {path: x}\n", f"data.path=[https://me:{PASSWORD}@host/x")
    assert said.startswith("--set data.path: ")
    assert PASSWORD not in said
    assert "nested too deeply" in refused("name: a\ndata: {path: x}\n", "data=" + "[" * 5000)


def test_a_secret_is_not_shown_from_python_either():
    address = f"https://me:{PASSWORD}@host/x"
    for make in (
        lambda: Data(path=address),
        lambda: Data(path="x", table={"file": address}),
        lambda: Experiment.model_validate({"name": "a", "data": {"path": address}}),
        lambda: Experiment.model_validate({"name": "a", "data": address}),
    ):
        with pytest.raises(ValidationError) as caught:
            make()
        assert PASSWORD not in str(caught.value)
        assert PASSWORD not in repr(caught.value)


@pytest.mark.parametrize("address", ["github://org:repo@main/images", "https://host:8443/a@b"])
def test_a_colon_and_an_at_alone_are_no_secret(address):
    assert Data(path=address).path == address


def test_a_pipe_is_no_experiment_file(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(InputError, match="no ordinary file"):
        read_experiment(tmp_path / "a.yaml")
