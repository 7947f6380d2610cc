"""Checks the servers by plain HTTP: whether they answer, and whether their clocks go as this machine's does."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from http.client import HTTPException

from tasks.care.findings import Finding

ANSWER_SECONDS = 10
"""How long a server may take to answer."""

SKEW_WARNING, SKEW_FAULT = 5.0, 300.0
"""Seconds between the clocks: from when records may stand in the wrong order, and from when sign-in by signature or
certificate may be refused."""

NTP = "Let both machines keep their clocks by NTP (`timedatectl set-ntp true`)"


def check_answers(code: str, name: str, health: str, mend: str) -> list[Finding]:
    """Find whether a server answers at an address that needs no sign-in, and how far its clock is off.

    Parameters
    ----------
    code, name : str
        The beginning of the findings' codes, and the server's name.
    health : str
        The address.
    mend : str
        What to do where it does not answer.
    """
    before = time.time()
    try:
        with urllib.request.urlopen(health, timeout=ANSWER_SECONDS) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as fault:  # it answers, whatever it says
        date = fault.headers.get("Date")
        if fault.code >= 500:
            return [Finding(f"{code}.reached", "fault", f"{name} answers {fault.code} at {health}", mend)]
    except (urllib.error.URLError, OSError, HTTPException, ValueError) as fault:
        reason = getattr(fault, "reason", None) or fault
        return [Finding(f"{code}.reached", "fault", f"{name} does not answer at {health}: {reason}", mend)]
    seconds = time.time() - before
    found = [Finding(f"{code}.reached", "ok", f"{name} answers at {health} in {seconds:.2f} s")]
    return found + check_clock(f"{code}.clock", name, date, before + seconds / 2)


def check_clock(code: str, name: str, date: str | None, now: float) -> list[Finding]:
    """Find how far a server's clock is off.

    Parameters
    ----------
    code, name : str
        The finding's code, and the server's name.
    date : str or None
        The header `Date` of its answer, in whole seconds.
    now : float
        This machine's time, in seconds since 1970, when it answered.
    """
    try:
        theirs = parsedate_to_datetime(date).timestamp() + 0.5 if date else None
    except ValueError:
        theirs = None
    if theirs is None:
        return []
    off = theirs - now
    way = "ahead of" if off > 0 else "behind"
    said = f"the clock of {name} is {abs(off):.0f} s {way} this machine's"
    if abs(off) >= SKEW_FAULT:
        return [Finding(code, "fault", said, NTP)]
    if abs(off) >= SKEW_WARNING:
        return [Finding(code, "warning", said, NTP)]
    return [Finding(code, "ok", f"the clock of {name} agrees with this machine's")]
