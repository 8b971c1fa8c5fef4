"""The `clickmask` command. Each subcommand is a module of its own, imported when it is called."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import Any

import click

from model.cores import cores, quota
from model.errors import ClickmaskError

# Command -> the folder of its module, which has the command's name with underscores for dashes.
COMMANDS = {
    **dict.fromkeys(("up", "demo", "serve", "worker", "health"), "running"),
    **dict.fromkeys(("connect", "doctor", "fine-tune", "jobs", "next", "propose", "review"), "project"),
    **dict.fromkeys(("predict", "evaluate", "train", "models", "bench"), "model"),
}


class Commands(click.Group):
    """Imports a subcommand when it is called, so that `clickmask doctor` does not wait for torch.

    The one place where errors become messages: no subcommand catches what it only wants to print.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the `command` of the module with this name; None where there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        name = f"backend.cli.{COMMANDS[cmd_name]}.{cmd_name.replace('-', '_')}"
        return importlib.import_module(name).command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; a foreseeable error becomes one sentence and exit status 1."""
        try:
            return super().invoke(ctx)
        except (ClickmaskError, OSError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # click ends quietly where nobody reads on
            from backend.cli.errors import sentence

            raise click.ClickException(sentence(error)) from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program."""
        try:
            from backend.cli.errors import print_defect, secrets, sentence
            from backend.logs import mask_warnings

            sys.excepthook = print_defect
            if quota() is not None:  # before torch is imported, here and in the processes of jobs
                os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
            mask_warnings(secrets())
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a sign gets a question mark
            return super().main(*args, **kwargs)
        except KeyboardInterrupt:  # before click looks for it
            click.echo("Aborted!", err=True)
            sys.exit(1)
        except OSError as error:  # of printing help, or of the last lines
            click.echo(f"Error: {sentence(error)}", err=True)
            sys.exit(1)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done; 1 not possible, one sentence says why; 2 wrong usage; 3 no model could be "
    "made, or the gate kept it back.",
)
@click.version_option(package_name="clickmask")
def main() -> None:
    """Click-based segmentation for Label Studio that learns from accepted annotations."""
