"""The `clickmask` command. Each subcommand is a module of its own, imported when it is called."""

from __future__ import annotations

import importlib
import pkgutil

import click


class Commands(click.Group):
    """Finds subcommands by module name, so that `clickmask doctor` does not wait for torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all modules beside this one, dashes for underscores."""
        modules = pkgutil.iter_modules(__path__)
        return sorted(m.name.replace("_", "-") for m in modules if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The `command` of the module with this name; None where there is no such module."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"backend.cli.{cmd_name.replace('-', '_')}")
        return module.command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clickmask")
def main() -> None:
    """Click-based segmentation for Label Studio that learns from accepted annotations."""
