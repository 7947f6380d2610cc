"""Files laid out as Keras publishes them: a network's weights with its classifier, and the index of the classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

NAMED = {
    7: ("n01514668", "cock"),
    134: ("n02012849", "crane"),
    207: ("n02099601", "golden_retriever"),
    281: ("n02123045", "tabby"),
    340: ("n02391049", "zebra"),
    386: ("n02504458", "African_elephant"),
    517: ("n03126707", "crane"),
    817: ("n04285008", "sports_car"),
}
"""Some of the 1000 classes under their real names; two are called crane."""


def write_class_index(keras_home: Path) -> Path:
    """Write `imagenet_class_index.json` where Keras keeps it, the classes that are not `NAMED` under made-up names."""
    index = {str(place): NAMED.get(place, (f"n9{place:07d}", f"thing_{place}")) for place in range(1000)}
    file = keras_home / "models" / "imagenet_class_index.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(index), encoding="utf-8")
    return file


def write_network(name: str, file: Path) -> Any:
    """Write the weights of a Keras network with its classifier as Keras 2 did, from a fixed seed; gives the network.

    The classifier's weights are scaled so that logits differ by some units, from class to class and image to image.
    """
    keras.utils.set_random_seed(5)
    network = getattr(keras.applications, name)(weights=None)
    classifier = network.get_layer("predictions")
    kernel, bias = classifier.get_weights()
    noise = np.random.default_rng(5).uniform(-1, 1, (1, *network.input_shape[1:]))
    features = keras.Model(network.input, classifier.input)(noise).numpy()
    classifier.set_weights([kernel * 3 / (features @ kernel).std(), bias])
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as store:
        save_weights_to_hdf5_group(store, network)
    return network
