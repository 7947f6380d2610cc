from __future__ import annotations

import subprocess
import sys

import pytest

from tasks.backbones.registry import get, names, register
from tasks.backbones.spec import SPECS
from tasks.config import MISSION, InputError


def fields(name):
    spec = get("vgg16")
    return {
        "name": name,
        "title": "another",
        "native_size": 64,
        "min_size": 16,
        "gflops": 1.0,
        "preprocessing": spec.preprocessing,
        "cam_layer": "a",
        "freeze_points": {"base": "a", "last_block": "a", "none": None},
        "weight_sources": {"none": ()},
    }


def test_listing_the_backbones_loads_neither_keras_nor_tensorflow():
    code = (
        "import sys; from tasks.backbones.registry import get, names; [get(name) for name in names()]; "
        "print(sorted({'keras', 'tensorflow', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_are_sorted_and_hold_the_missions_and_the_studies_backbones():
    studies = {"vggface_vgg16", "vggface_resnet50", "inceptionresnetv2", "densenet121", "xception"}
    assert names() == sorted(names())
    assert set(MISSION) | studies <= set(names())


def test_an_unknown_backbone_is_named_with_the_known_and_the_nearest():
    with pytest.raises(InputError, match=r"Received: resnet5; known: .*senet50.*; nearest: resnet50"):
        get("resnet5")


def test_a_name_can_be_registered_once_only():
    def builder(x):
        return x

    try:
        assert register(**fields("a_test_backbone"))(builder) is builder
        assert get("a_test_backbone").builder is builder
        with pytest.raises(ValueError, match="a_test_backbone is registered already"):
            register(**fields("a_test_backbone"))(builder)
    finally:
        SPECS.pop("a_test_backbone", None)


def test_a_spec_without_a_common_freeze_point_is_refused():
    with pytest.raises(ValueError, match="last_block"):
        register(**fields("a_test_backbone") | {"freeze_points": {"base": "a", "none": None}})


@pytest.mark.parametrize("name", names())
def test_a_size_below_the_smallest_is_refused_with_what_is_allowed(name):
    spec = get(name)
    spec.check_size(spec.min_size)
    spec.check_size(spec.native_size)
    with pytest.raises(InputError, match=rf"{spec.min_size - 1} is too small .* {name}: .* {spec.min_size} pixels"):
        spec.check_size(spec.min_size - 1)


@pytest.mark.parametrize("name", names())
def test_unknown_freeze_points_and_weight_sources_are_refused_with_what_is_known(name, tmp_path):
    spec = get(name)
    assert spec.boundary("none") is None
    spec.check_weights("none")
    with pytest.raises(InputError, match=r"Received: last_blok; known: .*base.*; nearest: last_block"):
        spec.boundary("last_blok")
    with pytest.raises(InputError, match=rf"{name}\. Received: .*nothing\.h5; known: none"):
        spec.check_weights(str(tmp_path / "nothing.h5"))
