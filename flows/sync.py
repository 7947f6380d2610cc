"""Delivers what waits on disk for the tracking server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.config import InputError, Unfinished
from tasks.dataset.wording import counted
from tasks.tracking.delivery import Sent, deliver_all, waiting_told
from tasks.tracking.outbox import Outbox
from tasks.tracking.patience import Unreachable
from tasks.tracking.refusals import without_sign_in
from tasks.tracking.store import open_client, tracking_uri

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Synced:
    """What `foldcam sync` came to.

    Attributes
    ----------
    address : str
        The tracking server's.
    folder : str
        Where runs wait.
    sent : Sent
        What was delivered, and what was not.
    """

    address: str
    folder: str
    sent: Sent

    @property
    def experiments(self) -> list[str]:
        """The experiments whose comparison is to be finished now."""
        fold_runs = [own.head for own in self.sent.delivered if own.head.level == "fold"]
        return list(dict.fromkeys(head.experiment for head in (*fold_runs, *self.sent.abandoned)))

    def to_json(self) -> dict[str, Any]:
        """Give the fields of `foldcam sync --json`."""
        return {
            "tracking_uri": self.address,
            "folder": self.folder,
            "delivered": [
                {
                    "experiment": own.head.experiment,
                    "level": own.head.level,
                    "name": own.head.name,
                    "run_id": own.run_id,
                    "status": own.status,
                    "done_again_meanwhile": own.dropped,
                }
                for own in self.sent.delivered
            ],
            "still_running": [f"{head.experiment} {head.name}" for head in self.sent.begun],
            "abandoned": [f"{head.experiment} {head.name}" for head in self.sent.abandoned],
            "for_other_servers": dict(self.sent.elsewhere),
            "refused": [
                {"experiment": head.experiment, "name": head.name, "reason": reason}
                for head, reason in self.sent.refused
            ],
            "compare_next": self.experiments,
        }


def sync(*, any_address: bool = False) -> Synced:
    """Deliver what waits for the tracking server that is set; called again, it goes on where it was interrupted.

    Parameters
    ----------
    any_address : bool
        Deliver to it what waits for other addresses too.

    Raises
    ------
    InputError
        The server refuses the user, or what is at the address is no MLflow store.
    Unfinished
        The server cannot be reached.
    """
    outbox, uri = Outbox(), tracking_uri()
    address = without_sign_in(uri)
    parcels = outbox.parcels()
    if not any(any_address or parcel.head.address == address for parcel in parcels):
        elsewhere = Counter(parcel.head.address for parcel in parcels)
        return Synced(address, str(outbox.home), Sent([], [], [], elsewhere))
    try:
        return Synced(address, str(outbox.home), deliver_all(open_client(uri), uri, outbox, any_address=any_address))
    except Unreachable as fault:
        raise Unfinished(waiting_told(fault.reason, outbox)) from fault
    except InputError as fault:
        verb = "waits" if len(parcels) == 1 else "wait"
        raise InputError(f"{fault} {counted(len(parcels), 'run')} still {verb} in {outbox.home}.") from fault


def print_synced(found: Synced, console: Console) -> None:
    """Tell people what was delivered, and what to do next."""
    for line in _lines(found):
        console.print(line, highlight=False, markup=False)


def _lines(found: Synced) -> Iterator[str]:
    sent = found.sent
    for own in sent.delivered:
        note = " (done again meanwhile: not counted)" if own.dropped else ""
        yield f"{own.head.experiment} {own.head.name}: {own.status}{note}"
    if sent.delivered:
        yield f"{counted(len(sent.delivered), 'run')} delivered to {found.address}."
    elif not sent.begun and not sent.abandoned and not sent.refused:
        yield f"Nothing waits for {found.address}."
    if sent.begun:
        yield f"{counted(len(sent.begun), 'run')} not whole yet: a command still writes them, and delivers them itself."
    if sent.abandoned:
        runs = counted(len(sent.abandoned), "run")
        yield f"{runs} cut short by a kill, and removed: the next `foldcam run` does them again."
    for head, reason in sent.refused:
        yield f"{head.experiment} {head.name}: the server does not take it, and it is kept: {reason}"
    for address, number in sent.elsewhere.items():
        yield (
            f"{counted(number, 'run')} waiting for {address}: set MLFLOW_TRACKING_URI to it and sync again. If that "
            f"server has moved to {found.address}: `foldcam sync --moved`."
        )
    if found.experiments:
        names = ", ".join(found.experiments)
        yield f"To finish the comparison of {names}: the same `foldcam run` as before. It trains nothing that is done."
