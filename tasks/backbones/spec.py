"""What a backbone is, as data: sizes, pre-processing, named layers, weight sources. TensorFlow is not loaded here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from tasks.config import Head, InputError

Builder = Callable[[Any], Any]
"""From the pre-processed tensor to the last feature tensor of the base, all layers flat in one graph."""


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an RGB image with values 0 to 255 before the first layer.

    The channels are put in `channel_order`; then each is multiplied by its `scale` and its `offset` is added
    (both given in that order).
    """

    channel_order: Literal["rgb", "bgr"]
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone: how to build its base and everything that must be known about it before that.

    `gflops` is what one image costs forward at the native size, in 10⁹ floating-point operations;
    `freeze_points` gives the last frozen layer by the freeze point's name (None: nothing is frozen);
    `weight_sources` the published file names by the source's name, the preferred one first;
    `sizes` the sizes that fit where not every size from `min_size` on does.
    """

    name: str
    title: str
    builder: Builder
    native_size: int
    min_size: int
    gflops: float
    preprocessing: Preprocessing
    cam_layer: str
    freeze_points: Mapping[str, str | None]
    weight_sources: Mapping[str, tuple[str, ...]]
    default_head: Head = field(default_factory=Head)
    sizes: tuple[int, ...] | None = None

    def check_size(self, size: int) -> None:
        """Refuse a height and width in pixels that the network cannot take.

        Raises
        ------
        InputError
            When `size` is below `min_size`, or is not among `sizes`.
        """
        if size < self.min_size:
            raise InputError(
                f"The image size {size} is too small for the backbone {self.name}: it needs at least "
                f"{self.min_size} pixels (its native size is {self.native_size}). Set `size` to that or more."
            )
        if self.sizes is not None and size not in self.sizes:
            near = sorted(sorted(self.sizes, key=lambda fit: abs(fit - size))[:4])
            raise InputError(
                f"The image size {size} does not fit the backbone {self.name}: its branches come out with "
                f"different extents. Sizes near it that fit: {_listed(map(str, near))}; native: {self.native_size}."
            )

    def boundary(self, freeze: str) -> str | None:
        """Give the name of the last frozen layer for a freeze point, None when nothing is frozen.

        Raises
        ------
        InputError
            When the backbone has no freeze point of that name.
        """
        if freeze not in self.freeze_points:
            raise InputError(
                f"Unknown freeze point for the backbone {self.name}. Received: {freeze}; "
                f"known: {_listed(self.freeze_points)}{nearest(freeze, self.freeze_points)}."
            )
        return self.freeze_points[freeze]

    def check_weights(self, source: str) -> None:
        """Refuse a weight source that is neither one of the backbone's own nor the path of a file.

        Raises
        ------
        InputError
            When `source` is unknown and there is no such file.
        """
        if source not in self.weight_sources and not Path(source).is_file():
            raise InputError(
                f"Unknown weights for the backbone {self.name}. Received: {source}; known: "
                f"{_listed(self.weight_sources)}, or the path of a file ending in .h5, .weights.h5 or .keras that is "
                f"there{nearest(source, self.weight_sources)}."
            )


def nearest(received: str, known: Mapping[str, Any]) -> str:
    """Give `; nearest: NAME` for the known name most like the received one, or an empty text."""
    close = get_close_matches(received.lower(), list(known), n=1)
    return f"; nearest: {close[0]}" if close else ""


def _listed(names: Any) -> str:
    return ", ".join(names)


SPECS: dict[str, BackboneSpec] = {}
"""Every backbone registered so far, by name."""


def register(
    *,
    name: str,
    title: str,
    native_size: int,
    min_size: int,
    gflops: float,
    preprocessing: Preprocessing,
    cam_layer: str,
    freeze_points: Mapping[str, str | None],
    weight_sources: Mapping[str, tuple[str, ...]],
    default_head: Head | None = None,
    sizes: tuple[int, ...] | None = None,
) -> Callable[[Builder], Builder]:
    """Give a decorator that registers a builder under `name` together with what `BackboneSpec` says about it.

    The builder must import Keras inside itself, so that listing the backbones does not load TensorFlow.

    Raises
    ------
    ValueError
        When the name is taken, or `cam_layer` and the freeze points `base`, `last_block`, `none` and the weight
        source `none` are not all given.
    """
    if missing := {"base", "last_block", "none"} - set(freeze_points) or {"none"} - set(weight_sources):
        raise ValueError(f"the backbone {name} lacks the freeze points or weight sources {sorted(missing)}")

    def keep(builder: Builder) -> Builder:
        if name in SPECS:
            raise ValueError(f"a backbone named {name} is registered already: {SPECS[name].title}")
        SPECS[name] = BackboneSpec(
            name=name,
            title=title,
            builder=builder,
            native_size=native_size,
            min_size=min_size,
            gflops=gflops,
            preprocessing=preprocessing,
            cam_layer=cam_layer,
            freeze_points=dict(freeze_points),
            weight_sources=dict(weight_sources),
            default_head=default_head or Head(),
            sizes=sizes,
        )
        return builder

    return keep
