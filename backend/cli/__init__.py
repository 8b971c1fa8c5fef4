"""The `clickmask` command. Each subcommand is a module of its own, imported when it is called."""

from __future__ import annotations

import importlib

import click

# Command -> the folder of its module, which has the command's name with underscores for dashes.
COMMANDS = {
    **dict.fromkeys(("up", "demo", "serve", "worker"), "running"),
    **dict.fromkeys(("connect", "doctor", "fine-tune", "jobs", "review"), "project"),
    **dict.fromkeys(("predict", "evaluate", "train", "models", "bench"), "model"),
}


class Commands(click.Group):
    """Imports a subcommand when it is called, so that `clickmask doctor` does not wait for torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the `command` of the module with this name; None where there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        name = f"backend.cli.{COMMANDS[cmd_name]}.{cmd_name.replace('-', '_')}"
        return importlib.import_module(name).command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clickmask")
def main() -> None:
    """Click-based segmentation for Label Studio that learns from accepted annotations."""
