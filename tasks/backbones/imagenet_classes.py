"""The names of ImageNet's 1000 classes, from the index that Keras publishes with its weights."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import keras

from tasks.backbones.weights import downloading, keras_home
from tasks.config import InputError

FILE = "imagenet_class_index.json"
ADDRESS = f"https://storage.googleapis.com/download.tensorflow.org/data/{FILE}"
MD5 = "c2c37ea517e94d9795004a39431a14cb"
N_CLASSES = 1000


@dataclass(frozen=True)
class ImagenetClasses:
    """The classes in the order of the logits.

    Attributes
    ----------
    names : tuple of str
        Such as `tabby`; two pairs of classes share a name.
    synsets : tuple of str
        WordNet's number of each, such as `n02123045`.
    """

    names: tuple[str, ...]
    synsets: tuple[str, ...]

    def numbers(self, wanted: Sequence[str]) -> list[int]:
        """Give the places of classes that are named by name or synset, each once; blanks are as good as `_`.

        Raises
        ------
        InputError
            A name is unknown (the nearest are told), or two classes have it.
        """
        return list(dict.fromkeys(self._number(text) for text in wanted))

    def _number(self, text: str) -> int:
        key = _key(text)
        places = [place for place in range(len(self.names)) if key in (_key(self.names[place]), self.synsets[place])]
        if len(places) == 1:
            return places[0]
        if places:
            synsets = " and ".join(self.synsets[place] for place in places)
            raise InputError(f"explanation.classes: {len(places)} classes are called {text!r}: {synsets}. Name one so.")
        known = {_key(name): name for name in self.names}
        near = [known[name] for name in get_close_matches(key, list(known), n=3)]
        hint = f" The nearest: {', '.join(near)}." if near else ""
        raise InputError(
            f"explanation.classes: ImageNet's 1000 classes have none called {text!r}.{hint} A class is named as in "
            f"{keras_home() / 'models' / FILE}, or by its synset there, such as {self.synsets[0]}."
        )


def imagenet_classes() -> ImagenetClasses:
    """Give the classes from Keras's folder, downloaded when the index is not there.

    Raises
    ------
    InputError
        The file cannot be had, or is no index of 1000 classes.
    """
    path = keras_home() / "models" / FILE
    if not path.is_file():
        with downloading(path.parent, FILE, what="class index", way_out=""):
            keras.utils.get_file(FILE, ADDRESS, cache_subdir=str(path.parent), file_hash=MD5)
    try:
        return _read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise InputError(
            f"The class index {path} is damaged: it must give a synset and a name to each of 0 to {N_CLASSES - 1}. "
            "Delete it, and it is downloaded again."
        ) from fault


def _read(index: Any) -> ImagenetClasses:
    pairs = [(str(synset), str(name)) for synset, name in (index[str(place)] for place in range(N_CLASSES))]
    if len(index) != N_CLASSES or not all(re.fullmatch("n[0-9]{8}", synset) for synset, _ in pairs):
        raise ValueError("not Keras's index")
    return ImagenetClasses(tuple(name for _, name in pairs), tuple(synset for synset, _ in pairs))


def _key(text: str) -> str:
    return "_".join(text.casefold().replace("_", " ").split())
