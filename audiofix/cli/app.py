"""The command `audiofix`: which commands there are, and how an error becomes a line and an exit status."""

from __future__ import annotations

import errno
import sys
import traceback
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from audiofix.cli import doctor, evaluate, models, options, restore, separate, train
from audiofix.errors import AudiofixError

STOPPED = 130  # what a shell reports for Ctrl-C: 128 + SIGINT


class Commands(TyperGroup):
    """The root command: the only place where an error turns into an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        caught: BaseException
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except AudiofixError as error:
            caught, status, message = error, error.exit_status, str(error)
        except KeyboardInterrupt as stop:
            caught, status, message = stop, STOPPED, str(stop) or "stopped"
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of our output has gone: Typer ends quietly
            caught, status = error, AudiofixError.exit_status
            message = (
                f"unexpected {type(error).__name__}: {error}; a fault of audiofix, add --debug to see where"
            )
        if ctx.meta.get(options.DEBUG):
            traceback.print_exception(caught)
        typer.echo("audiofix: " + " ".join(message.splitlines()), err=True)
        raise typer.Exit(status)


app = typer.Typer(
    cls=Commands,
    help="Restore audio by posterior sampling: priors of clean sound, guided by what was recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("separate")(separate.separate)
for _name, _command in restore.COMMANDS:
    app.command(_name)(_command)
app.add_typer(models.app, name="models")
app.command("train")(train.train)
app.add_typer(evaluate.app, name="evaluate")
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from audiofix import __version__

        typer.echo(f"audiofix {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the command and of `python -m audiofix`."""
    warnings.formatwarning = lambda message, *_args, **_named: f"audiofix: warning: {message}\n"
    sys.exit(app(prog_name="audiofix"))
