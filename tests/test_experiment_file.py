from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tasks.config import InputError
from tasks.experiment_file import read_experiment

GOOD = """\
name: study
data:
  path: images
folds:
  n_splits: 3
backbones:
  vgg16:
  ncnn:
    size: 34
    training:
      epochs: 2
training:
  epochs: 9
  optimizer:
    name: sgd
"""


@pytest.fixture
def file(tmp_path):
    """Give a function that writes an experiment file."""

    def write(text=GOOD, name="study.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(path, overrides=()):
    """Give the message with which a file is refused; it is one paragraph that names the file or the override."""
    with pytest.raises(InputError) as caught:
        read_experiment(path, overrides)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", ".)", "?"))
    assert caught.value.__cause__ is None
    assert str(path) in text or text.startswith(("--set", "data.path"))
    return text


def test_a_file_is_read_with_defaults_for_the_rest(file):
    settings = read_experiment(file())
    assert (settings.name, settings.folds.n_splits, settings.training.epochs) == ("study", 3, 9)
    assert list(settings.backbones) == ["vgg16", "ncnn"]
    assert settings.training_of("ncnn").epochs == 2
    assert settings.training.batch_size == 16


def test_other_letters_and_a_byte_order_mark_are_read(file):
    settings = read_experiment(file("\ufeffname: Größe 梨\ndata: {path: Bilder größe}\n"))
    assert settings.name == "Größe 梨"
    assert settings.data.path.name == "Bilder größe"


def test_data_folds_and_weight_files_are_looked_for_beside_the_file(file, tmp_path, monkeypatch):
    text = """\
name: a
data: {path: ../images}
folds: {file: folds.csv}
model: {weights: weights/base.h5}
backbones:
  ncnn: {weights: own.weights.h5}
  vgg16: {weights: imagenet}
  senet50: {weights: vggface}
  resnet50: {weights: /full/path.h5}
  densenet121: {weights: none}
  xception:
"""
    (tmp_path / "below").mkdir()
    path = file(text, "below/study.yaml")
    monkeypatch.chdir(tmp_path)
    for given in (path, Path("below/study.yaml")):
        settings = read_experiment(given)
        assert settings.data.path == tmp_path / "images"
        assert settings.folds.file == tmp_path / "below" / "folds.csv"
        weights = {name: settings.model_of(name).weights for name in settings.backbones}
        assert weights == {
            "ncnn": str(tmp_path / "below" / "own.weights.h5"),
            "vgg16": "imagenet",
            "senet50": "vggface",
            "resnet50": "/full/path.h5",
            "densenet121": "none",
            "xception": str(tmp_path / "below" / "weights" / "base.h5"),
        }


def test_a_tilde_is_the_home_folder(file, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = read_experiment(file("name: a\ndata: {path: ~/images}\nmodel: {weights: ~/w.h5}\n"))
    assert settings.data.path == tmp_path / "home" / "images"
    assert settings.model.weights == str(tmp_path / "home" / "w.h5")


def test_the_built_in_faces_are_written_out_and_others_refused(file):
    settings = read_experiment(file("name: a\ndata: {path: 'builtin:faces'}\n"))
    assert settings.data.path.is_dir()
    assert settings.data.path.is_relative_to(os.environ["FOLDCAM_HOME"])
    assert len(list(settings.data.path.rglob("*.png"))) == 200
    assert "builtin:faces" in refused(file("name: a\ndata: {path: 'builtin:cats'}\n"))


@pytest.mark.parametrize("backbones", ["ncnn", "[ncnn]", "{ncnn: }", "{ncnn: {}}"])
def test_backbones_are_a_name_a_list_or_a_mapping(file, backbones):
    assert list(read_experiment(file(f"name: a\ndata: {{path: x}}\nbackbones: {backbones}\n")).backbones) == ["ncnn"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("n_splits: 3", "n_split: 3", ["line 5", "folds.n_split:", "no such key", "Did you mean n_splits?", "kind"]),
        ("training:\n  epochs: 9", "trainign:\n  epochs: 9", ["line 12", "trainign:", "Did you mean training?"]),
        ("    size: 34", "    siez: 34", ["line 9", "backbones.ncnn.siez:", "Did you mean size?"]),
        ("    name: sgd", "    nmae: sgd", ["line 15", "training.optimizer.nmae:", "Did you mean name?", "momentum"]),
        (
            "    name: sgd",
            "    name: sdg",
            ["line 15", "training.optimizer.name:", "'sdg'", "did you mean sgd?"],
        ),
        ("n_splits: 3", "n_splits: many", ["line 5", "folds.n_splits:", "'many'", "integer"]),
        ("n_splits: 3", "n_splits: 1", ["line 5", "folds.n_splits:", "1", "greater than or equal to 2"]),
        ("n_splits: 3", "n_splits: 2.5", ["line 5", "folds.n_splits:", "2.5"]),
        ("  path: images", "  pth: images", ["data"]),
        ("name: study", "description: x", ["name: this key is needed and is not there"]),
        ("  epochs: 9", "  epochs: 9\n  early_stopping_patience: 3", ["(3) must be below early_stopping_patience (3)"]),
        (
            "      epochs: 2",
            "      epohcs: 2",
            ["line 11", "backbones.ncnn.training.epohcs:", "Did you mean epochs?"],
        ),
        ("      epochs: 2", "      epochs: 0", ["line 11", "backbones.ncnn.training.epochs:", "got 0", "equal to 1"]),
        (
            "      epochs: 2",
            "      early_stopping_patience: 2",
            ["line 10", "backbones.ncnn.training:", "(3) must be below early_stopping_patience (2)"],
        ),
        ("name: study", "name: [a, b]", ["line 1", "name:", "['a', 'b']", "string"]),
        ("backbones:", "backbones:\n  ncnn:\n  other: 3\nextra:", ["line 8", "backbones.other:"]),
    ],
)
def test_what_is_wrong_is_told_with_line_key_value_and_what_is_allowed(file, old, new, said):
    assert GOOD.count(old) == 1
    path = file(GOOD.replace(old, new))
    text = refused(path)
    for part in said:
        assert part in text, text


def test_an_unknown_key_of_a_label_rule_names_its_place(file):
    rules = (
        "name: a\ndata:\n  path: x\n  labels:\n    rules:\n    - {label: a, glob: '*'}\n    - {label: b, golb: '*'}\n"
    )
    text = refused(file(rules))
    assert "line 7: data.labels.rules.1" in text
    assert "Did you mean glob?" in text


def test_several_faults_are_told_by_the_first_and_their_number(file):
    text = refused(file("name: a\ndata: {path: x}\nseed: -1\nextra: 1\nfolds: {n_splits: 1}\n"))
    assert "2 more of this file's values are wrong too" in text


def test_a_backbone_named_twice_is_refused(file):
    assert "named twice" in refused(file("name: a\ndata: {path: x}\nbackbones: [ncnn, ncnn]\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nname: b\ndata: {path: x}\n", ["the key `name` is there twice", "line 2"]),
        ("name: a\ndata:\n  path: x\n  path: y\n", ["the key `path` is there twice", "line 4"]),
        ("name: &n a\ndescription: *n\ndata: {path: x}\n", ["aliases", "line 2"]),
        ("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", ["aliases"]),
        ("name: a\ndata: {path: x}\nbase: &b {seed: 1}\n<<: *b\n", ["aliases"]),
        ("name: !!python/object/apply:os.system ['touch hacked']\n", ["not valid YAML", "line 1"]),
        ("name: [a\ndata: x\n", ["not valid YAML", "line"]),
        ("name: a\n\tdata: x\n", ["not valid YAML", "line 2"]),
        ("- name\n- data\n", ["must hold keys with values"]),
        ("", ["must hold keys with values"]),
        ("just a text", ["must hold keys with values"]),
        ("name: a\n---\nname: b\n", ["not valid YAML"]),
        ("[" * 5000, ["nested too deeply"]),
        ("name: a\n? [1, 2]\n: x\ndata: {path: x}\n", ["not valid YAML", "line 2"]),
        ("1: 2\nname: a\ndata: {path: x}\n", ["1"]),
        ("name: a\ndata: {path: x}\nbackbones: {1: {}}\n", []),
        ("name: \0\n", ["not valid YAML"]),
    ],
)
def test_what_is_not_plain_yaml_is_refused(file, text, said, tmp_path):
    found = refused(file(text))
    for part in said:
        assert part in found, found
    assert not (tmp_path / "hacked").exists()
    assert not Path("hacked").exists()


def test_a_file_that_is_not_there_is_told_with_the_nearest_name(file, tmp_path):
    file(name="study.yaml")
    text = refused(tmp_path / "stduy.yaml")
    assert "is not there" in text
    assert f"Is {tmp_path / 'study.yaml'} meant?" in text
    assert "foldcam init" in refused(tmp_path / "no" / "where.yaml")
    assert "is a folder" in refused(tmp_path)


def test_what_is_no_text_or_far_too_long_is_told(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("name: Größe\ndata: {path: x}\n".encode("latin-1"))
    assert "UTF-8" in refused(path)
    path.write_text("# " + "x" * 1_000_000)
    assert "1,000,000 bytes" in refused(path)


def test_overrides_set_any_key_and_leave_the_others(file):
    settings = read_experiment(
        file(),
        [
            "training.epochs=3",
            "training.optimizer.momentum=0.5",
            "backbones.ncnn.size=36",
            "backbones.ncnn.training.batch_size=4",
            "runner={workers: 2, retries: 0}",
            "folds.file=",
            "name='other: name'",
            "data.groups='(?P<group>[0-9]+)'",
            "explanation.methods=[gradcam]",
        ],
    )
    assert settings.training_of("vgg16").epochs == 3
    assert settings.training.optimizer.name == "sgd"
    assert settings.training.optimizer.momentum == 0.5
    assert settings.name == "other: name"
    assert settings.model_of("ncnn").size == 36
    own = settings.training_of("ncnn")
    assert (own.epochs, own.batch_size) == (2, 4)
    assert (settings.runner.workers, settings.runner.retries) == (2, 0)
    assert settings.folds.file is None
    assert settings.data.groups is not None
    assert settings.data.groups.pattern == "(?P<group>[0-9]+)"


def test_an_override_can_name_the_backbones_and_add_one(file):
    assert list(read_experiment(file(), ["backbones=[ncnn]"]).backbones) == ["ncnn"]
    assert list(read_experiment(file(), ["backbones=senet50"]).backbones) == ["senet50"]
    added = read_experiment(file("name: a\ndata: {path: x}\nbackbones: [ncnn]\n"), ["backbones.vgg16.size=64"])
    assert {name: added.model_of(name).size for name in added.backbones} == {"ncnn": None, "vgg16": 64}


def test_the_last_of_two_overrides_counts(file):
    assert read_experiment(file(), ["seed=1", "seed=2"]).seed == 2


def test_an_override_can_mend_a_file(file):
    path = file(GOOD.replace("n_splits: 3", "n_splits: 1"))
    assert read_experiment(path, ["folds.n_splits=4"]).folds.n_splits == 4


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epochs", ["KEY=VALUE"]),
        ("=3", ["KEY=VALUE"]),
        ("training.epohcs=3", ["training.epohcs", "Did you mean epochs?"]),
        ("training.epochs=many", ["training.epochs", "'many'"]),
        ("training.epochs=[1", ["not valid YAML"]),
        ("name=*a", ["aliases"]),
        ("backbones=[ncnn, ncnn]", ["named twice"]),
        ("training=3", ["training", "3"]),
        ("name.x=3", ["name"]),
        ("training..epochs=3", ["training"]),
        (".seed=3", []),
    ],
)
def test_a_bad_override_is_told(file, override, said):
    text = refused(file(), [override])
    for part in said:
        assert part in text, text


@pytest.mark.parametrize("override", ["training.epochs=0", "training={epochs: 0}", "training.epohcs=3", "seed=-1"])
def test_a_fault_of_an_override_is_put_on_the_override_and_not_on_a_line_of_the_file(file, override):
    text = refused(file(GOOD + "seed: 1\n"), ["name=b", override])
    assert text.startswith(f"--set {override.split('=')[0]}")
    assert "line" not in text


def test_a_fault_of_the_file_is_put_on_its_line_whatever_is_overridden(file):
    assert "line 5: folds.n_splits" in refused(file(GOOD.replace("n_splits: 3", "n_splits: 1")), ["seed=1"])


def test_the_shipped_experiments_can_all_be_read():
    import flows

    files = sorted((Path(flows.__file__).parent / "experiments").glob("*.yaml"))
    assert files
    for path in files:
        assert read_experiment(path).name
        assert set(yaml.safe_load(path.read_text(encoding="utf-8"))) >= {"name", "data"}


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/images",
        "gs://bucket/a b",
        "https://host.example:8443/set/train.csv",
        "abfs://container@account.dfs.core.windows.net/images",
        "sftp://me@host/images",
        "zip://sub::s3://bucket/images.zip",
        "https://host.example:8443/a@b/",
    ],
)
def test_an_address_stays_as_it_is(file, address):
    assert read_experiment(file(GOOD.replace("images", address))).data.path == address


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("zip://images.zip", "zip://::{}/images.zip"),
        ("tar://::sub/images.tar", "tar://::{}/sub/images.tar"),
        ("zip://inner::images.zip", "zip://inner::{}/images.zip"),
        ("zip:///far/images.zip", "zip://::/far/images.zip"),
    ],
)
def test_a_path_in_an_address_is_relative_to_the_file(file, tmp_path, given, read):
    assert read_experiment(file(GOOD.replace("images", given))).data.path == read.format(tmp_path)


def test_an_address_of_a_local_folder_is_that_folder(file):
    assert read_experiment(file(GOOD.replace("images", "file:///far/images"))).data.path == Path("/far/images")


@pytest.mark.parametrize(
    "address",
    [
        "s3://KEY:s3/cr3t+x@bucket/images",
        "https://me:s3cr3t@host.example/images",
        "zip://sub::https://me:s3cr3t@host.example/images.zip",
        "https://host.example/train.csv?v=1&X-Amz-Signature=s3cr3t",
        "https://host.example/train.csv?sv=1&sig=s3cr3t",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(file, address):
    said = refused(file(GOOD.replace("images", f"'{address}'")))
    assert "password" in said
    assert "cr3t" not in said
    assert "cr3t" not in refused(file(), [f"data.path={address}"])


def test_an_address_outlives_the_settings_text(file):
    """Workers and the record get the settings as text."""
    settings = read_experiment(file(GOOD.replace("images", "s3://bucket/images")))
    text = yaml.safe_dump(settings.model_dump(mode="json"))
    assert type(settings).model_validate(yaml.safe_load(text)) == settings
