"""A made-up report: any number of backbones and folds, parts of any kind, names of any kind."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from tasks.comparison.report.context import AuditRow, BackboneReport, Done, FoldReport, ReportContext, Sheet
from tasks.comparison.report.drawn import draw_figures
from tasks.comparison.section import Drawing, Picture, Section, Table
from tasks.comparison.summary import summarise_folds

HOSTILE = ("<b>cat</b> & 'dog' \"owl\"", "x" * 60, "חתול \u202eabc", "{{ 7 * 7 }} `code` %s")


def photograph(width: int, height: int, seed: int) -> bytes:
    """Give the PNG of something that is as hard to pack as a photograph."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (height // 6, width // 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int64)
    file = io.BytesIO()
    noisy = np.clip(smooth + rng.integers(-5, 6, smooth.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(file, "PNG", compress_level=1)
    return file.getvalue()


def made_section(key: str, labels: Sequence[str], *, n_rows: int = 8, picture: tuple[int, int] = (300, 200)) -> Section:
    """Give a part with everything that a part can have."""

    def draw() -> Figure:
        drawn = Figure(figsize=(5, 3))
        drawn.subplots().plot(range(5), [len(key)] * 5)
        return drawn

    names = [labels[row % len(labels)] for row in range(n_rows)]
    frame = pd.DataFrame({"name": names, "value": np.linspace(-1, 1, n_rows), "n": range(n_rows), "note": names})
    wide = frame.assign(**{f"column_{i}": 0.5 for i in range(14)})
    titles = {"name": "Name", "value": "value", "n": "images", "note": "note"}
    return Section(
        key=key,
        title=f"The part {key}",
        sentences=(f"The answer of {key} is `{labels[0]}`.", "More of it, hedged."),
        tables=(
            Table(f"{key}_narrow", f"Figures of {labels[0]}.", frame, titles),
            Table(f"{key}_wide", "Many columns.", wide, titles | {f"column_{i}": f"column {i}" for i in range(14)}),
        ),
        drawings=(Drawing(f"{key}_line", f"A line of {labels[0]}.", draw),),
        pictures=(Picture(f"{key}_sheet", "A sheet.", photograph(*picture, seed=len(key))),),
        files={f"{key}.json": b"{}"},
    )


def made_backbone(name: str, series: Sequence[float | None], n_folds: int) -> BackboneReport:
    """Give a backbone with a value of each fold; None: the fold run failed."""
    known = [*series, *[None] * (n_folds - len(series))]
    folds = [
        FoldReport(
            i, "completed" if value is not None else "failed", value, f"run-{name}-{i}", "It broke." * (value is None)
        )
        for i, value in enumerate(known)
    ]
    own = summarise_folds(
        {"balanced_accuracy": known, "log_loss": [None if v is None else 1 - v for v in known]},
        n_train=[80] * n_folds,
        n_test=[20] * n_folds,
    )
    n_images = 20 * sum(value is not None for value in known)
    return BackboneReport(name, name.upper(), own, folds, n_images, "random weights", {}, 61.0, f"run-{name}")


def made_report(
    sections: Sequence[Section],
    *,
    n_backbones: int = 5,
    n_folds: int = 5,
    failed: int = 0,
    labels: Sequence[str] = ("cat", "dog"),
    sheets: Sequence[Sheet] = (),
    **more: object,
) -> ReportContext:
    """Give all that a report says; the first backbone's last `failed` folds failed."""
    rng = np.random.default_rng(0)
    backbones = [
        made_backbone(f"net{i}", (0.6 + 0.3 * rng.random(n_folds - (failed if i == 0 else 0))).tolist(), n_folds)
        for i in range(n_backbones)
    ]
    counts = pd.DataFrame({f"fold {i}": [10] * len(labels) for i in range(n_folds)}, index=list(labels))
    plain: dict[str, object] = {
        "name": f"study of {labels[0]}",
        "description": f"Who is {labels[-1]}?",
        "date": "2031-02-03",
        "version": "0.1.0",
        "data_digest": "d" * 64,
        "metric": "balanced_accuracy",
        "higher_is_better": True,
        "metric_limits": (0.0, 1.0),
        "n_images": 20 * n_folds,
        "n_folds": n_folds,
        "backbones": backbones,
        "class_counts": counts,
        "settings": "name: faces\n" + "".join(f"key_{i}: value\n" for i in range(90)) + f"note: {labels[0]}\n",
        "sections": sections,
        "drawn": draw_figures(sections, ["png"]),
        "audit": [AuditRow("warn", "images.even", "one colour nearly all over", f"One colour: {labels[0]}", 3)],
        "done": Done("foldcam run experiment.yaml", {"seed": "0"}, {"numpy": "2.0"}),
        "sheets": sheets,
        "experiment_run_id": "run-top",
        "tracking_uri": "http://mlflow.example",
    }
    return ReportContext(**(plain | more))  # type: ignore[arg-type]
