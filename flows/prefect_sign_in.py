"""Tries a sign-in at Prefect's server; apart from the rest, since Prefect takes seconds to import."""

from __future__ import annotations

import os

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from tasks.config import InputError
from tasks.tracking.refusals import refusal_of


def try_sign_in(server: str) -> None:
    """Ask the server something that only those who are signed in may ask.

    Raises
    ------
    InputError
        It refuses, or does not answer.
    """
    settings = {PREFECT_API_URL: server, PREFECT_API_AUTH_STRING: os.environ["PREFECT_API_AUTH_STRING"]}
    try:
        with temporary_settings(settings), get_client(sync_client=True) as client:
            client.request("GET", "/admin/version").raise_for_status()
    except HTTPError as fault:
        raise refusal_of(fault) or InputError(
            f"Prefect's server at {server} does not answer: {type(fault).__name__}. Check the address, which ends in "
            "/api, and that the server runs."
        ) from fault
