"""Brings what waits in the outbox to the tracking server: each parcel once, also where that is interrupted."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tasks.dataset.locks import hold_existing
from tasks.dataset.wording import counted
from tasks.tracking.calls import read_call
from tasks.tracking.client import PatientClient
from tasks.tracking.outbox import DONE, HEAD, Head, Outbox, Parcel, Seal, write_json
from tasks.tracking.owners import is_orphan
from tasks.tracking.refusals import refusal_of, without_sign_in
from tasks.tracking.runs import ERROR, EXPERIMENT_RUN, JOB, OWNER, Runs
from tasks.tracking.store import experiment_id

_log = logging.getLogger(__name__)

LEVELS = ("fold", "backbone", "experiment")
"""The order of delivery: a backbone's run is ended when its fold runs are there."""
DONE_AGAIN = "It waited for the tracking server, and was done again meanwhile."


@dataclass(frozen=True)
class Delivered:
    """A parcel that has left the outbox: its run and how that ended; `dropped`: it was done anew meanwhile."""

    head: Head
    run_id: str
    status: str
    dropped: bool = False


def in_order(parcels: Sequence[Parcel]) -> list[Parcel]:
    """Give parcels in the order in which they are delivered."""
    known = {level: place for place, level in enumerate(LEVELS)}
    return sorted(parcels, key=lambda own: (known.get(own.head.level, -1), own.head.started))


def is_abandoned(parcel: Parcel) -> bool:
    """Tell whether a parcel that is there will never be whole: the process that wrote it was killed."""
    return parcel.seal is None and parcel.folder.is_dir() and is_orphan(parcel.head.by)


def deliver(client: PatientClient, parcel: Parcel, *, wait: bool = False) -> Delivered | None:
    """Bring a sealed parcel's content to its run, end the run as it ended, and remove the parcel.

    None: another process delivers it at this moment (with `wait`, it is waited for), or has just done so.

    Raises
    ------
    Unreachable
        The server could not be reached; what has been delivered is not sent again the next time.
    InputError
        The MLflow experiment was deleted.
    MlflowException
        The server refuses the content.
    """
    with _held_alone(parcel, wait) as free:
        if not free:
            return None
        head, seal = parcel.head, parcel.seal
        if seal is None:
            return None
        experiment = experiment_id(client, head.experiment)
        run = _run_of(client, experiment, head)
        if run is None:  # it was to be ended only, and is gone
            parcel.remove()
            return Delivered(head, head.run_id or "", seal.status, dropped=True)
        run_id, dropped = str(run.info.run_id), _was_done_again(client, experiment, head, seal, run)
        if not dropped:
            _send_calls(client, parcel, run)
        if head.level == "fold" or _is_still_ours(run, head):
            _end(Runs(client, experiment), run, replace(seal, status="failed", reason=DONE_AGAIN) if dropped else seal)
        parcel.remove()
        return Delivered(head, run_id, seal.status, dropped)


@contextmanager
def _held_alone(parcel: Parcel, wait: bool) -> Iterator[bool]:
    handle = hold_existing(parcel.folder / HEAD, alone=True, wait=wait)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _run_of(client: PatientClient, experiment: str, head: Head) -> Run | None:
    """Give a parcel's run, made now where the server could not be reached then."""
    if head.run_id is not None:
        try:
            return client.get_run(head.run_id)
        except MlflowException as fault:
            if fault.error_code != "RESOURCE_DOES_NOT_EXIST" or not head.tags:
                raise
    if not head.tags:
        return None
    tags = dict(head.tags)
    return client.run_with_key(experiment, head.key) or client.create_run(experiment, head.started, tags, head.name)


def _was_done_again(client: MlflowClient, experiment: str, head: Head, seal: Seal, run: Run) -> bool:
    """Tell whether a completed fold run was done anew after the one that waits, or is so by another node just now."""
    if head.level != "fold" or seal.status != "completed":
        return False
    wanted = " and ".join(
        f"tags.`{name}` = '{value}'"
        for name, value in {
            "foldcam.fingerprint": head.tags.get("foldcam.fingerprint", ""),
            EXPERIMENT_RUN: head.tags.get(EXPERIMENT_RUN, ""),
            "foldcam.status": "completed",
        }.items()
    )
    others = [f"{wanted} and attributes.start_time > {head.started}"]
    if job := head.tags.get(JOB):  # a node that was cut off and taken for lost: clocks of machines differ
        others.append(f"tags.`{JOB}` = '{job}' and tags.`foldcam.status` != 'failed'")
    found = (own for query in others for own in client.search_runs([experiment], query, max_results=2))
    return any(own.info.run_id != run.info.run_id for own in found)


def _send_calls(client: MlflowClient, parcel: Parcel, run: Run) -> None:
    outputs = run.outputs.model_outputs if run.outputs else []
    model_id = str(outputs[-1].model_id) if outputs else None
    for folder in parcel.calls:
        if not (folder / DONE).exists():
            model_id = read_call(folder).send(client, str(run.info.run_id), model_id)
            write_json(folder / DONE, {"model": model_id})


def _is_still_ours(run: Run, head: Head) -> bool:
    """Tell whether nobody has gone on with an experiment's or a backbone's run since."""
    return bool(run.info.status == "RUNNING" and run.data.tags.get(OWNER) == head.owner)


def _end(runs: Runs, run: Run, seal: Seal) -> None:
    if ERROR in run.data.tags and not seal.reason:
        runs.client.delete_tag(run.info.run_id, ERROR)
    runs.end(run.info.run_id, seal.status, seal.reason, seal.ended)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Sent:
    """What a delivery came to.

    Attributes
    ----------
    delivered
        What has left the outbox.
    begun
        Runs whose command still writes them: they are delivered when they are whole.
    abandoned
        Runs of commands that were killed before they were whole: they are done again by the next `foldcam run`.
    elsewhere
        Parcels for other tracking servers, by address.
    refused
        Runs whose content the server does not take, with its reason: they are kept.
    """

    delivered: Sequence[Delivered]
    begun: Sequence[Head]
    abandoned: Sequence[Head]
    elsewhere: Mapping[str, int]
    refused: Sequence[tuple[Head, str]] = ()


def deliver_all(client: PatientClient, address: str, outbox: Outbox, *, any_address: bool = False) -> Sent:
    """Deliver what waits for a tracking server, fold runs first; parcels that can never be whole are removed.

    Parameters
    ----------
    client : PatientClient
        The server.
    address : str
        Its address.
    outbox : Outbox
        What waits.
    any_address : bool
        Deliver to it what waits for other addresses too: it has moved.

    Raises
    ------
    Unreachable
        The server cannot be reached; what is delivered by then has left the outbox.
    InputError
        The server refuses the user.
    """
    outbox.sweep()
    parcels = outbox.parcels()
    own = [parcel for parcel in parcels if any_address or parcel.head.address == without_sign_in(address)]
    abandoned = [parcel for parcel in own if is_abandoned(parcel)]
    heads = [parcel.head for parcel in abandoned]
    for parcel in abandoned:
        parcel.remove()
    there = [parcel for parcel in own if parcel not in abandoned and parcel.folder.is_dir()]
    whole = [parcel for parcel in there if parcel.seal is not None]
    begun = [parcel.head for parcel in there if parcel not in whole]
    delivered, refused = _deliver_each(client, address, in_order(whole))
    elsewhere = Counter(parcel.head.address for parcel in parcels if parcel not in own)
    return Sent(delivered, begun, heads, elsewhere, refused)


def _deliver_each(
    client: PatientClient, address: str, parcels: Sequence[Parcel]
) -> tuple[list[Delivered], list[tuple[Head, str]]]:
    """Deliver parcels; give what was delivered, and what the server does not take, which keeps none of the others."""
    delivered: list[Delivered] = []
    refused: list[tuple[Head, str]] = []
    for parcel in parcels:
        head = parcel.head
        try:
            done = deliver(client, parcel)
        except MlflowException as fault:
            if (of_the_user := refusal_of(fault, address)) is not None:
                raise of_the_user from fault
            refused.append((head, str(fault.message).strip().splitlines()[0][:300]))
            _log.warning("MLflow does not take the run %s of %s: %s", head.name, head.experiment, refused[-1][1])
        else:
            delivered += [] if done is None else [done]
    return delivered, refused


def waiting_told(reason: str, outbox: Outbox) -> str:
    """Say in one paragraph what waits where, and how to go on."""
    parcels = outbox.parcels()
    size = sum(parcel.bytes() for parcel in parcels)
    folds = sum(parcel.head.level == "fold" for parcel in parcels)
    what = counted(folds, "fold run") if folds else f"how {counted(len(parcels), 'run')} ended"
    verb = "wait" if folds > 1 else "waits"
    return (
        f"{reason} Nothing is lost: {what} {verb} in {outbox.home} ({size / 1e6:,.1f} MB). When the server is back, "
        "`foldcam sync` delivers them, and the same `foldcam run` then reuses the fold runs and compares; nothing is "
        "trained again."
    )
