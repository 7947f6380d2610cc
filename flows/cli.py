"""The command `foldcam`: parse, call one flow, print."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from flows import (
    commands_cache,
    commands_champion,
    commands_clean,
    commands_compare,
    commands_deploy,
    commands_doctor,
    commands_explain,
    commands_export,
    commands_login,
    commands_notices,
    commands_predict,
    commands_schedule,
    commands_sync,
    commands_users,
)
from flows.common_options import FileArgument, FreshOption, JsonOption, SetOption
from flows.credentials import fill
from flows.interrupting import stop_in_order
from flows.printing import console, print_json, say
from tasks.config import InputError, Unfinished
from tasks.dataset.cache_folder import cache_home
from tasks.tracking.refusals import refusal_of
from tasks.upkeep.room import no_room_told
from tasks.workers.log_lines import set_up_logs, write_last

if TYPE_CHECKING:
    from tasks.comparison.photographs import PhotographsResult
    from tasks.comparison.results import ExperimentResult
    from tasks.config import Experiment

app = typer.Typer(
    name="foldcam",
    help="Cross-validate CNN backbones on your own images, see where each one looks, and compare them in MLflow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

INTERRUPTED = 130
"""What Typer makes of Ctrl-C."""

DEMO = Path(__file__).parent / "experiments" / "faces.yaml"

BackboneOption = Annotated[list[str] | None, typer.Option("--backbone", metavar="NAME", help="Only this backbone.")]
FoldOption = Annotated[list[int] | None, typer.Option("--fold", metavar="N", help="Only this fold.")]


@app.command(short_help="Train, evaluate, explain and log every backbone on every fold.")
def run(
    file: FileArgument,
    set_: SetOption = None,
    backbone: BackboneOption = None,
    fold: FoldOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment: train, evaluate, explain and log every backbone on every fold."""
    _run(file, set_, backbone, fold, fresh, as_json)


@app.command(short_help="Run faces.yaml on 200 real images that come with a dependency.")
def demo(
    set_: SetOption = None,
    backbone: BackboneOption = None,
    fold: FoldOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run faces.yaml on 200 real images that come inside a dependency."""
    _run(DEMO, set_, backbone, fold, fresh, as_json)


@app.command()
def check(
    file: FileArgument,
    set_: SetOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read every image again, also unchanged ones.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write audit.html and audit.json into this folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the experiment file and audit the data; train nothing."""
    from flows.check import check_experiment, print_check
    from tasks.experiment_file import read_experiment

    found = check_experiment(read_experiment(file, set_ or []), fresh=fresh)
    if out is not None:
        found.write(out)
    if as_json:
        print_json(found.to_json())
    else:
        print_check(found, console())
    if found.leak is not None:
        raise found.leak


commands_compare.register(app)
commands_explain.register(app)
commands_predict.register(app)
commands_champion.register(app)
commands_export.register(app)
commands_schedule.register(app)
commands_deploy.register(app)
commands_notices.register(app)


@app.command()
def ui() -> None:
    """Show MLflow's and Prefect's pages for the local stores."""
    from flows.ui import serve_pages

    with contextlib.suppress(KeyboardInterrupt):
        serve_pages(say)


@app.command()
def backbones(as_json: JsonOption = False) -> None:
    """List the backbones with their sizes, weights and freeze points."""
    from flows.listings import backbone_rows, backbone_table

    if as_json:
        print_json(backbone_rows())
    else:
        console().print(backbone_table())


commands_cache.register(app)
commands_clean.register(app)
commands_sync.register(app)
commands_login.register(app)
commands_users.register(app)
commands_doctor.register(app)


@app.command(short_help="Look at a folder and write a commented experiment file.")
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder of images.")] = Path(),
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")] = Path("experiment.yaml"),
    name: Annotated[str | None, typer.Option("--name", help="The experiment's name; default: the folder's.")] = None,
) -> None:
    """Look at a folder of images and write a commented experiment file for it."""
    from flows.listings import write_starter

    say(write_starter(folder, out, name))


@app.command()
def schema() -> None:
    """Print the JSON schema of experiment files, for editors."""
    from tasks.config import Experiment

    print_json(Experiment.model_json_schema())


def _run(
    file: Path, set_: list[str] | None, backbone: list[str] | None, fold: list[int] | None, fresh: bool, as_json: bool
) -> None:
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from tasks.experiment_file import read_experiment

    experiment = read_experiment(file, set_ or [])
    from flows.screen import Screen, print_result
    from tasks.workers.events import subscribe

    screen_console = console(stderr=as_json)
    with Screen(screen_console) as screen, subscribe(screen):
        result = _result(experiment, backbone, fold, fresh)
    print_result(result, screen_console)
    if as_json:
        print_json(result.to_json())
    if result.status != "completed":
        raise typer.Exit(3)


def _result(
    experiment: Experiment, backbone: list[str] | None, fold: list[int] | None, fresh: bool
) -> ExperimentResult | PhotographsResult:
    if experiment.data.labels.kind == "none":
        if fold:
            raise InputError("--fold: photographs without labels are not cut into folds; leave it out.")
        from flows.explain import explain_photographs

        return explain_photographs(experiment, backbones=backbone, fresh=fresh)
    from flows.cross_validate import cross_validate

    return cross_validate(experiment, backbones=backbone, folds=fold, fresh=fresh)


def main() -> None:
    """Run the command; whatever goes wrong ends with one paragraph and the exit code that says what it was."""
    stop_in_order()
    atexit.register(gc.freeze)  # the process is about to end: Python's last search for garbage would take a second
    try:
        set_up_logs()
        fill()
        code = app(standalone_mode=False, prog_name="foldcam")
        if code == INTERRUPTED:
            raise KeyboardInterrupt
    except InputError as fault:
        _stop(str(fault), 2)
    except Unfinished as fault:
        _stop(str(fault), 3)
    except (KeyboardInterrupt, typer.Abort):
        _stop("Stopped. What was finished is kept: the same command goes on from there.", 3)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as fault:
        if hasattr(fault, "format_message"):
            _stop(_usage_text(fault), 2)
        refused = refusal_of(fault)
        if refused is not None:
            _stop(str(refused), 2)
        full = no_room_told(fault, [Path.cwd(), cache_home(), Path(tempfile.gettempdir())])
        if full is not None:
            _stop(full, 3)
        _stop(_fault_text(fault), 1)
    sys.exit(code if isinstance(code, int) else 0)


def _usage_text(fault: Any) -> str:
    """Word an error of the command line itself; Typer's own classes for them are not public."""
    context = getattr(fault, "ctx", None)
    path = context.command_path if context is not None else "foldcam"
    said = fault.format_message().strip()
    return f"{said}{'' if said.endswith(('.', '?', '!')) else '.'} `{path} --help` lists what there is."


def _fault_text(fault: Exception) -> str:
    """Keep the traceback in a file for whoever mends it; the user gets one paragraph."""
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="foldcam-fault-", suffix=".txt", delete=False) as file:
        traceback.print_exception(fault, file=file)
    first = str(fault).strip().splitlines()[:1]
    return (
        f"foldcam failed through a fault of its own: {type(fault).__name__}: {first[0] if first else ''} "
        f"The traceback is in {file.name}; finished fold runs are kept."
    )


def _stop(message: str, code: int) -> NoReturn:
    write_last(message)
    sys.exit(code)


if __name__ == "__main__":
    main()
