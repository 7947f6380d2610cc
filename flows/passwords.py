"""Passwords as a command takes them: asked for without an echo, read from standard input, or made at random."""

from __future__ import annotations

import secrets
import sys

import typer

from tasks.config import InputError

SHORTEST = 12
"""How many characters MLflow's sign-in wants at least."""

_RANDOM_BYTES = 18


def asked_password(what: str, *, from_stdin: bool, twice: bool = False) -> str:
    """Give a password that somebody types without an echo, or that stands on standard input.

    Raises
    ------
    InputError
        There is nobody to ask, or nothing was given.
    """
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
        if not given:
            raise InputError("--password-stdin: standard input was empty. Give the password as its first line.")
        return given
    if not sys.stdin.isatty():
        raise InputError(f"{what} cannot be asked for, since there is no terminal. Give it by --password-stdin.")
    return str(typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))


def new_password(user: str, *, at_random: bool, from_stdin: bool) -> str:
    """Give the new password of a user, long enough for MLflow.

    Raises
    ------
    InputError
        It is too short, was not given, or is asked for in two ways.
    """
    if at_random and from_stdin:
        raise InputError("--random and --password-stdin each give the password. Use one of them.")
    if at_random:
        return random_password()
    given = asked_password(f"New password of {user}", from_stdin=from_stdin, twice=True)
    if len(given) < SHORTEST:
        raise InputError(f"The password is too short: MLflow wants at least {SHORTEST} characters.")
    return given


def random_password() -> str:
    """Give a password of 24 letters, digits, hyphens and underscores, made of 144 random bits."""
    return secrets.token_urlsafe(_RANDOM_BYTES)
