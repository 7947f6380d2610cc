"""One colour a backbone on MLflow's charts, in every experiment."""

from __future__ import annotations

from tasks.backbones.registry import names
from tasks.tracking.records import Tags

RUN_COLOUR = "mlflow.runColor"
"""The tag that MLflow's pages colour a run by."""

PALETTE = (
    "#332288",
    "#AA4499",
    "#DDAA33",
    "#117733",
    "#CC6677",
    "#0077BB",
    "#EE7733",
    "#44AA99",
    "#882255",
    "#88CCEE",
    "#999933",
    "#BBBBBB",
)
"""Paul Tol's colours (2021, "Colour schemes", SRON/EPS/TN/09-002), which colour-blind people can tell apart."""


def run_colour(backbone: str) -> Tags:
    """Give the tag that colours a run of this backbone."""
    known = names()
    place = known.index(backbone) if backbone in known else len(known)
    return Tags({RUN_COLOUR: PALETTE[place % len(PALETTE)]})
