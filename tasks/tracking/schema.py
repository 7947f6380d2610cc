"""What to tell the user of a database that another version of MLflow has written."""

from __future__ import annotations

import functools
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from tasks.config import InputError
from tasks.tracking.refusals import without_sign_in


def check_schema(uri: str) -> None:
    """Refuse a database whose tables are another MLflow's, before MLflow opens it.

    MLflow itself refuses some of them, and changes others to its own tables without a word: whoever still has the
    version that wrote them could not open them any more.

    Parameters
    ----------
    uri : str
        The store's address; a server's is left to the server.

    Raises
    ------
    InputError
        The database was written by an older or a newer MLflow.
    """
    found = _revision(uri)
    if found is not None and found != _newest():
        raise _refusal(found, uri)


def _refusal(found: str, uri: str) -> InputError:
    shown, here = without_sign_in(uri), version("mlflow")
    if not _is_known(found):
        return InputError(
            f"MLflow's database at {shown} was written by a newer MLflow than the {here} that is installed here (its "
            f"tables have the revision {found}). Install the version that wrote it, or a newer foldcam; "
            "nothing was changed."
        )
    return InputError(
        f"MLflow's database at {shown} was written by an older MLflow than the {here} that is installed here (its "
        f"tables have the revision {found} and {_newest()} is needed). Make a copy of it, end what uses it, and run "
        f"`mlflow db upgrade {shown}` once; runs and models stay as they are. Nothing was changed yet."
    )


def _revision(uri: str) -> str | None:
    """Give the revision of a database's tables; None where there is no database, none of MLflow's, or none to ask."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    if urlsplit(uri).scheme in ("http", "https", "file", "databricks", ""):
        return None
    try:
        file = make_url(uri).database if uri.startswith("sqlite") else None
        if uri.startswith("sqlite") and not (file and Path(file).is_file()):
            return None
        engine = create_engine(uri)
        try:
            with engine.connect() as connection:
                return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError):  # MLflow says what is wrong with it
        return None


@functools.cache
def _newest() -> str:
    """Give the revision that the MLflow which is installed here wants."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())


def _is_known(revision: str) -> bool:
    """Tell whether the MLflow that is installed here knows a revision of the tables."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from mlflow.store.db.utils import _get_alembic_config

    try:
        ScriptDirectory.from_config(_get_alembic_config("")).get_revision(revision)
    except CommandError:
        return False
    return True
