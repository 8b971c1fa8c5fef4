"""`clickmask demo`: a real Label Studio, connected and ready to click."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backend.operations.label_studio_server import LabelStudioServer
    from backend.settings import Settings

# What the annotator must know of Label Studio's editor.
ADVICE = """\
  1. Open a task, switch Auto-Annotation on (bottom bar), leave Auto-Accept off.
  2. Choose a label and the Auto-Detect tool (last in the toolbar), and click the object.
     Alt+click takes away, Ctrl+click adds a point where a mask is already. A box is a prompt, too.
  3. Accept with the tick in the bottom bar (the one beside the mask leaves the points behind)."""


@click.command("demo")
@click.option(
    "--label-studio",
    "executable",
    envvar="CLICKMASK_LABEL_STUDIO",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The label-studio command. Default: the one that `make demo` installs.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Label Studio's, if free."
)
def command(executable: Path | None, port: int) -> None:
    """Run Label Studio with sample photos and everything that `clickmask up` runs, until Ctrl-C.

    All data is kept in CLICKMASK_HOME/demo, so that a second start takes seconds. Where a port is busy, a free one is
    taken.
    """
    from backend.operations.label_studio_server import LabelStudioServer
    from backend.operations.supervisor import Stopped, stoppable
    from backend.settings import Settings

    try:
        settings = Settings.from_env()
        with (
            stoppable(),
            LabelStudioServer(_find(executable), settings.home / "demo/label-studio", port) as studio,
        ):
            _run(studio, settings)
    except Stopped:
        click.echo("Stopped; nothing is left running.")


def _find(executable: Path | None) -> Path:
    found = executable or Path(__file__).parents[3] / ".venv-labelstudio/bin/label-studio"
    if not found.exists():
        raise click.ClickException(
            f"there is no Label Studio at {found}: run `make demo`, which installs it, or install it with "
            "`python -m venv DIR && DIR/bin/pip install label-studio==1.23.2` and pass --label-studio "
            "DIR/bin/label-studio"
        )
    return found


def _run(studio: LabelStudioServer, settings: Settings) -> None:
    """Start everything, say how to use it, and wait."""
    import time

    from rich.console import Console

    from backend.label_studio.client import LabelStudio
    from backend.operations.demo_project import prepare
    from backend.operations.stack import running, wait_until_ready
    from backend.operations.supervisor import Child

    console, home = Console(highlight=False), settings.home / "demo"
    settings = own_settings(settings, studio, home)
    with running(settings, home / "log") as (children, settings):
        console.print(f"clickmask starts on port {settings.port}; logs are in {home / 'log'}")
        note = ", which makes its database first: about a minute" if studio.first_start else ""
        console.print(f"Label Studio starts on port {studio.port}{note}")
        with console.status("") as line:

            def waiting(seconds: float) -> None:
                children.check()
                line.update(f"Label Studio: {seconds:.0f} s")

            studio.start(waiting)
            line.update("The model is loading")
            wait_until_ready(children.check, settings.own_url, time.sleep)
            line.update("Preparing the project")
            project = prepare(LabelStudio(settings), settings.own_url, settings)
        _greet(studio, project)
        assert studio.process is not None
        children.watch(Child("Label Studio", studio.process, studio.log))
        children.wait()


def own_settings(settings: Settings, studio: LabelStudioServer, home: Path) -> Settings:
    """Return settings with which the demo touches nothing of an installation, whose projects have its numbers."""
    import dataclasses

    from backend.operations.supervisor import free_port

    return dataclasses.replace(
        settings,
        home=home,
        registry=None,
        host="127.0.0.1",
        port=free_port(settings.port),
        redis_url=None,
        label_studio_url=studio.url,
        label_studio_api_key=studio.token,
    )


def _greet(studio: LabelStudioServer, project: int) -> None:
    click.echo(f"\n{ADVICE}\n")
    click.echo(f"  Label Studio   {studio.url}/projects/{project}/data")
    click.echo(f"  e-mail         {studio.email}")
    click.echo(f"  password       {studio.password}")
    click.echo("\nCtrl-C stops everything.")
