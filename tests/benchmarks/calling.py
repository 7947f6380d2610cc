"""A row: what one more fold run asks of a tracking server."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.bench import Bench
from tests.benchmarks.material import settings, write_images
from tests.benchmarks.registry import Disagree, Outcome, Part, row
from tests.support.faulty_proxy import faulty_proxy
from tests.support.servers import mlflow_over_http

FOLDS = (2, 3)


@row(
    ours="requests that one more fold run of N-CNN asks of an MLflow server, its share of the comparison with it",
    theirs="nothing: a bound",
    clock="cpu",
)
def server_calls(bench: Bench) -> Outcome:
    images = write_images(bench.folder() / "images", 24, 48)
    found = [_calls(bench, images, n_folds) for n_folds in FOLDS]
    one_more = {route: found[1][route] - found[0][route] for route in sorted(found[0] | found[1])}
    if one_more["POST /mlflow/runs/create"] != 1:
        raise Disagree(f"one more fold made {one_more['POST /mlflow/runs/create']} runs")
    part = Part("", "at most", 100, "requests a fold run", [sum(one_more.values())])
    beside = {"one more fold run": one_more, "an experiment of 2": dict(found[0]), "an experiment of 3": dict(found[1])}
    return Outcome([part], "one more run was made", beside)


def _calls(bench: Bench, images: Path, n_folds: int) -> Counter[str]:
    """Count the requests of an experiment with so many folds."""
    place = bench.place()
    values = settings(
        images,
        folds={"n_splits": n_folds},
        backbones={"ncnn": {"size": 34, "freeze": "none"}},
        training={"epochs": bench.sized(8, 2), "batch_size": 8},
        explanation={"max_images": 4, "contact_sheet_images": 3, "faithfulness_images": 0},
        runner={"workers": 1},
    )
    with mlflow_over_http(place.folder, place.tracking_uri) as url, faulty_proxy(url) as proxy:
        served = replace(place, variables=dict(place.variables) | {"MLFLOW_TRACKING_URI": proxy.url})
        served.foldcam("run", str(served.write(values)), "--json")
        return Counter(proxy.calls)
