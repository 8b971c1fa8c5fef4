"""`clickmask next`: which tasks to annotate next."""

from __future__ import annotations

import json

import click


@click.command("next")
@click.argument("project", type=int)
@click.option(
    "--apply",
    "publish_it",
    is_flag=True,
    help="Write label_next into the tasks and make the tab 'To label next'.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=500, show_default=True, help="Tasks to look at, at most."
)
@click.option("--best", type=click.IntRange(0), default=20, show_default=True, help="How many to print.")
@click.option("--json", "as_json", is_flag=True, help="Print all as JSON.")
def command(project: int, publish_it: bool, limit: int, best: int, as_json: bool) -> None:
    """Order the tasks of PROJECT that nobody has annotated by how much an annotation is expected to teach.

    Images unlike those that were learned from come first, and those on which the model doubts what it proposes; no
    two alike stand next to each other. Reads only, unless --apply is given.
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from backend.cli.output import output
    from backend.label_studio.client import LabelStudio
    from backend.operations.next_tasks import COLUMN, TAB, publish, rank
    from backend.settings import Settings

    settings = Settings.from_env()
    with Progress(console=Console(stderr=True)) as bar:
        row = bar.add_task("looking at images", total=None)
        ranked = rank(
            project, settings, limit, lambda done, total: bar.update(row, completed=done, total=total)
        )
    if as_json:
        click.echo(json.dumps([vars(entry) for entry in ranked], indent=1))
    else:
        table = Table("task", "worth", "doubt", box=None)
        for entry in ranked[:best]:
            table.add_row(str(entry.task), f"{entry.worth:.2f}", f"{entry.doubt:.2f}")
        output().print(table)
    if publish_it:
        changed = publish(project, LabelStudio(settings), ranked)
        click.echo(f"{changed} tasks got a new {COLUMN}; see the tab '{TAB}'", err=True)
