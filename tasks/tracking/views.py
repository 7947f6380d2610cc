"""Saved views of MLflow's runs page: what the menu *Views* offers, and the tags of the experiment that hold it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

PREFIX = "mlflow.sharedViewState."
"""By it MLflow's pages know the tags that hold views (MLflow 3.17, `saved views`)."""

TRAINING = "workflowType=machine_learning"
"""Ends addresses, so that the pages show what belongs to training models, and not to chats."""

WIDE, NARROW = 190, 110

SPEED = "cost/images_per_second_1"
"""The metric of a backbone's speed; without it the columns and charts that need it stay empty."""

_GROUP = "backbone"
_KEPT = {"deleted": False, "isGenerated": False}
Chart = dict[str, object]


@dataclass(frozen=True)
class View:
    """One entry of the menu.

    Attributes
    ----------
    key : str
        What its tag and its link are called.
    name : str
        What the menu shows.
    wanted : str
        The search that it makes.
    columns : mapping of str to int
        Columns by MLflow's names for them, in their order, with their widths in pixels.
    order_by : str
        What the rows are sorted by; by `attributes.start_time`, parents of the found runs are listed too.
    ascending : bool
        Whether the smallest comes first.
    charts : sequence of Chart
        What the page of charts shows first.
    grouped : bool
        Whether rows of one backbone are brought together as their mean.
    """

    key: str
    name: str
    wanted: str
    columns: Mapping[str, int]
    order_by: str
    ascending: bool = False
    charts: Sequence[Chart] = field(default=())
    grouped: bool = False

    @property
    def tag(self) -> str:
        """The tag of the experiment that holds it."""
        return f"{PREFIX}{self.key}"

    def state(self) -> str:
        """Give what MLflow's page is told, as JSON."""
        section = f"{self.key}-charts"
        own: dict[str, object] = {
            "searchFilter": self.wanted,
            "orderByKey": self.order_by,
            "orderByAsc": self.ascending,
            "selectedColumns": list(self.columns),
            "columnOrder": list(self.columns),
            "columnWidths": dict(self.columns),
        }
        if self.charts:
            own["compareRunCharts"] = [
                {"uuid": f"{self.key}-{place}", "metricSectionId": section, "deleted": False, "isGenerated": False}
                | chart
                for place, chart in enumerate(self.charts)
            ]
            head = {"uuid": section, "name": self.name, "display": True}
            own["compareRunSections"] = [head | {"isReordered": False} | _KEPT]
            own["isAccordionReordered"] = True
        if self.grouped:
            own["groupBy"] = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": _GROUP}]}
        return json.dumps(own)


def views_of(metric: str, *, higher_is_better: bool) -> list[View]:
    """Give the views of an experiment whose backbones are ranked by `metric`."""
    return [
        _backbones(metric, higher_is_better),
        _folds(metric, higher_is_better),
        View(
            "foldcam-experiments",
            "Experiments over time",
            "tags.`foldcam.level` = 'experiment'",
            _tags("foldcam.status", "best_backbone")
            | {f"metrics.`{name}`": WIDE for name in best_metrics(metric)}
            | {f"attributes.`{name}`": width for name, width in (("Dataset", WIDE), ("Duration", NARROW))}
            | {f"params.`{name}`": NARROW for name in ("n_images", "n_folds", "training.epochs", "seed")},
            "attributes.start_time",
        ),
        View(
            "foldcam-failed",
            "What failed",
            "tags.`foldcam.status` = 'failed'",
            _tags("foldcam.level", "foldcam.backbone", "foldcam.fold") | {"tags.`foldcam.error`": 600},
            "tags.`mlflow.runName`",
            ascending=True,
        ),
    ]


def best_metrics(metric: str) -> list[str]:
    """Give the metrics of an experiment's run that repeat its best backbone's: so experiments compare over time."""
    return [f"best/oof/{metric}", *(f"best/cv/{metric}_{part}" for part in ("mean", "ci_low", "ci_high"))]


def link(experiment_id: str, view: View, *, charts: bool = False) -> str:
    """Give a view's address below that of MLflow's pages."""
    page = "&compareRunsMode=CHART" if charts else ""
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={view.key}{page}&{TRAINING}"


def wanted_tags(views: Iterable[View], present: Mapping[str, str], now: int) -> dict[str, str]:
    """Give the tags that must be written; none for a view that is there already, or that people have changed.

    Parameters
    ----------
    views : iterable of View
        The views.
    present : mapping of str to str
        The experiment's tags.
    now : int
        The time in milliseconds.
    """
    return {
        view.tag: json.dumps({"name": view.name, "createdAt": now, "updatedAt": now, "state": view.state()})
        for view in views
        if not _stays(present.get(view.tag), view)
    }


def _backbones(metric: str, higher_is_better: bool) -> View:
    best = f"oof/{metric}"
    cv = {f"metrics.`cv/{metric}_{part}`": WIDE for part in ("mean", "ci_low", "ci_high")}
    others = [name for name in ("oof/log_loss", "oof/ece") if name != best]
    return View(
        "foldcam-backbones",
        "Backbones, best first",
        "tags.`foldcam.level` = 'backbone'",
        {f"metrics.`{best}`": WIDE}
        | cv
        | {f"metrics.`{name}`": NARROW for name in (*others, SPEED, "seconds/total", "folds_finished")}
        | _tags("foldcam.status"),
        f"metrics.`{best}`",
        ascending=not higher_is_better,
        charts=[
            {"type": "IMAGE", "imageKeys": ["contact_sheet"], "step": 0, "showRunParams": False},
            {
                "type": "PARALLEL",
                "selectedParams": ["backbone"],
                "selectedMetrics": [*others, "seconds/total", best],
                "showAllRuns": True,
            },
            _bars(best),
            *(_bars(f"cv/{metric}_{part}") for part in ("ci_low", "ci_high")),
            {
                "type": "SCATTER",
                "xaxis": {"key": SPEED, "type": "METRIC"},
                "yaxis": {"key": best, "type": "METRIC"},
                "runsCountToCompare": 100,
            },
        ],
    )


def _folds(metric: str, higher_is_better: bool) -> View:
    return View(
        "foldcam-folds",
        "Fold runs, by backbone",
        "tags.`foldcam.level` = 'fold'",
        {f"metrics.`test/{metric}`": WIDE}
        | {f"metrics.`{name}`": NARROW for name in ("test/log_loss", "val/loss", "train/loss", "seconds/total")}
        | _tags("foldcam.status"),
        f"metrics.`test/{metric}`",
        ascending=not higher_is_better,
        charts=[*(_curve(name) for name in (f"val/{metric}", "val/loss", "train/loss")), _bars(f"test/{metric}")],
        grouped=True,
    )


def _bars(name: str) -> Chart:
    return {"type": "BAR", "runsCountToCompare": 20, "metricKey": name}


def _curve(name: str) -> Chart:
    return {
        "type": "LINE",
        "runsCountToCompare": 20,
        "metricKey": name,
        "selectedMetricKeys": [name],
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "range": {},
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _tags(*names: str) -> dict[str, int]:
    return {f"tags.`{name}`": NARROW for name in names}


def _stays(text: str | None, view: View) -> bool:
    try:
        found = json.loads(text or "")
        changed = found["updatedAt"] != found["createdAt"]
        return bool(changed or (found["name"], found["state"]) == (view.name, view.state()))
    except (ValueError, KeyError, TypeError):
        return False
