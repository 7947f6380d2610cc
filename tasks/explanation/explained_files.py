"""The files of explained images: overlays, raw maps, a figure an image, the table and the page of all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tasks.dataset.asked_images import AskedImage
from tasks.dataset.pixels.images import Pixels
from tasks.dataset.pixels.shaping import lay_back, masked
from tasks.dataset.spreadsheets import inert
from tasks.explanation.building import in_colours
from tasks.explanation.class_figures import IN_A_ROW, Panel, explained_panel, panel_figure, percent
from tasks.explanation.fold_pictures import shown_labels
from tasks.explanation.gallery import unique_names
from tasks.explanation.gallery_page import write_gallery_page
from tasks.explanation.integrated_figure import integrated_figure
from tasks.explanation.map_files import small_map
from tasks.explanation.methods import get
from tasks.explanation.overlays import overlay_of_square
from tasks.explanation.wanted import Decided, Found, Methods

COLUMNS = (
    *("image", "target", "rank", "probability", "predicted", "method", "layer"),
    *("faithfulness", "faithfulness_random", "faithfulness_gaussian"),
    *("steps", "baseline", "difference", "gap"),
    *("blank", "overlay", "map", "figure"),
)
"""What `explanations.csv` holds: a row an image, target, method and layer."""

TABLE, PAGE = "explanations.csv", "explanations.html"
_LONGEST = 48  # letters, so that a class and a layer fit in the 255 bytes of a file name


@dataclass(frozen=True, eq=False)
class Card:
    """What the page needs of a row beside the table: the slot that it shares with other images, and a small map."""

    decided: Decided
    slot: str
    small: np.ndarray


class Files:
    """Writes the files of explained images below a folder, and keeps what the table and the page are made of.

    Parameters
    ----------
    folder : Path
        Where to.
    methods : Methods
        What is explained, and how it looks.
    images : sequence of AskedImage
        All images that will be written.

    Attributes
    ----------
    rows : list of dict
        What `explanations.csv` will hold, in its order.
    images
        As given.
    """

    def __init__(self, folder: Path, methods: Methods, images: Sequence[AskedImage]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.images = images
        self._folder, self._methods = folder, methods
        self._cards: list[Card] = []
        self._names = unique_names([image.name for image in images], suffix="")
        self._look = methods.asked.settings

    def name(self, place: int) -> str:
        """Give what the files of an image are called, without an ending."""
        return self._names[place]

    def write(self, place: int, picture: Pixels, decided: Decided, found: Sequence[Found]) -> None:
        """Write the files of an image: an overlay and a map for each that is found, and the figure of them all."""
        files = dict(zip(found, self._paths(place, found), strict=True))
        panels = [Panel(masked(picture, self._methods.subject.how), self.images[place].name, _size(picture))]
        figure = f"figures/{self.name(place)}.png"
        for own in found:
            overlay_file, map_file = files[own]
            heat = in_colours(own.method, own.raw[None])[0]
            overlay = self._overlay(picture, heat, overlay_file)
            self._map(picture, own, map_file)
            panels.append(self._panel(overlay, own, blank=not heat.any()))
            self.rows.append(
                self._row(place, decided, own)
                | {
                    "blank": not heat.any(),
                    "overlay": overlay_file,
                    "map": map_file,
                    "figure": figure,
                }
            )
            self._cards.append(Card(decided, own.target.slot, small_map(heat)))
            if own.integrated is not None:
                self._integrated(place, picture, own, overlay_file)
        self._figure(place, panels, figure)

    def write_table(self) -> pd.DataFrame:
        """Write `explanations.csv`, and give what it holds."""
        table = pd.DataFrame(self.rows).reindex(columns=list(COLUMNS)).astype({"steps": "Int64"})
        inert(table).to_csv(self._folder / TABLE, index=False)
        return table

    def write_page(self, note: str) -> None:
        """Write `explanations.html`, on which people filter the images and step through them."""
        by_name = {image.name: image for image in self.images}
        paths = {image.path: image.name for image in self.images}
        targets, subject = self._methods.subject.targets, self._methods.subject
        rows = pd.DataFrame(
            {
                "image": paths[row["image"]],
                "backbone": subject.title,
                "method": self._slot(row, card),
                "predicted": shown_labels(targets, card.decided.text),
                "probability": min(max(card.decided.probability, 0.0), 1.0),
                "note": f"{row['target']}: {percent(row['probability'])}" if card.slot else None,
            }
            for row, card in zip(self.rows, self._cards, strict=True)
        )
        write_gallery_page(
            self._folder / PAGE,
            rows,
            lambda name: by_name[name].open(subject.ground),
            lambda row: self._cards[row].small,
            title=f"Where {subject.title} looks",
            note=note,
            how=subject.how,
            colormap=self._look.colormap,
            alpha=self._look.alpha,
        )

    def _paths(self, place: int, found: Sequence[Found]) -> Iterator[tuple[str, str]]:
        """Yield the paths of overlay and map of each that is found, below the folder."""
        several = {name for name in self._methods.names if len(self._methods.layers(name)) > 1}
        stems = [
            f"{own.method}/{own.target.rank:04d}_{_plain(own.target.label)}"
            + (f"_{_plain(own.layer)}" if own.method in several else "")
            for own in found
        ]
        ending = ".jpg" if self._look.format == "jpeg" else ".png"
        for number, stem in enumerate(stems):
            method, _, name = stem.partition("/")
            if stems.index(stem) < number:
                name = f"{name}-{number}"
            below = f"{method}/{self.name(place)}/{name}"
            yield f"overlays/{below}{ending}", f"maps/{below}.npy"

    def _overlay(self, picture: Pixels, heat: np.ndarray, file: str) -> np.ndarray:
        how = self._methods.subject.how
        drawn = overlay_of_square(picture, heat, how, self._look.alpha, self._look.colormap)
        Image.fromarray(drawn).save(self._file(file), quality=90, compress_level=4)
        return drawn

    def _map(self, picture: Pixels, own: Found, file: str) -> None:
        height, width, _ = picture.shape
        np.save(self._file(file), lay_back(own.raw, height, width, self._methods.subject.how).astype(np.float32))

    def _panel(self, overlay: np.ndarray, own: Found, *, blank: bool) -> Panel:
        panel = explained_panel(
            overlay,
            own.target.label,
            own.target.probability,
            method=get(own.method).title,
            layer=own.layer if len(self._methods.layers(own.method)) > 1 else "",
            blank=blank,
        )
        failing = f"{panel.note}\nfails sanity checks"
        return replace(panel, note=failing) if get(own.method).fails_sanity_checks else panel

    def _row(self, place: int, decided: Decided, own: Found) -> dict[str, Any]:
        row = {
            "image": self.images[place].path,
            "target": own.target.label,
            "rank": own.target.rank,
            "probability": own.target.probability,
            "predicted": decided.text,
            "method": own.method,
            "layer": own.layer,
        }
        if own.integrated is not None:
            how = self._look.integrated_gradients
            difference, gap = float(own.integrated.differences[0]), float(own.integrated.gaps[0])
            row |= {"steps": how.steps, "baseline": how.baseline, "difference": difference, "gap": gap}
        return row

    def _integrated(self, place: int, picture: Pixels, own: Found, file: str) -> None:
        subject, how = self._methods.subject, self._look.integrated_gradients
        if own.integrated is None:
            return
        figure = integrated_figure(
            picture,
            subject.square(picture),
            own.integrated.maps[0],
            float(own.integrated.differences[0]),
            float(own.integrated.gaps[0]),
            baseline=how.baseline,
            steps=how.steps,
            title=f"{subject.title}: {self.images[place].name}",
            label=own.target.label,
            how=subject.how,
            alpha=self._look.alpha,
            colormap=self._look.colormap,
        )
        below = Path(file).relative_to("overlays").with_suffix("")
        figure.save(self._file(f"figures/{below}.png"), compress_level=4)

    def _figure(self, place: int, panels: list[Panel], file: str) -> None:
        figure = panel_figure(
            panels,
            title=f"{self._methods.subject.title}: {self.images[place].name}",
            note=f"{self._mapped()}each map scaled by itself",
            columns=min(len(panels), IN_A_ROW),
            colormap=self._look.colormap,
        )
        figure.save(self._file(file), compress_level=4)

    def _mapped(self) -> str:
        """Say which method maps which layers, in half a sentence."""
        names = self._methods.names
        cams = [name for name in names if get(name).needs_layer]
        title = get(names[0]).title if len(names) == 1 else "CAM methods"
        return f"{title} at {', '.join(self._methods.layers(cams[0]))}; " if cams else ""

    def _slot(self, row: dict[str, Any], card: Card) -> str:
        parts = [get(row["method"]).title, card.slot]
        if len(self._methods.layers(row["method"])) > 1:
            parts.insert(1, f"at {row['layer']}")
        return ", ".join(part for part in parts if part)

    def _file(self, file: str) -> Path:
        path = self._folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _plain(text: str) -> str:
    return re.sub(r"[^\w-]+", "_", text)[:_LONGEST]


def _size(picture: Pixels) -> str:
    return f"{picture.shape[1]} × {picture.shape[0]} pixels"
