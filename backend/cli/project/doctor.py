"""`clickmask doctor`: what keeps clicks from working, and how to mend it."""

from __future__ import annotations

import json
import sys

import click

from backend.cli.address import Address

COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


@click.command("doctor")
@click.argument("project", type=int, required=False)
@click.option(
    "--url",
    type=Address(),
    help="Address of the backend. Default: CLICKMASK_URL, else CLICKMASK_HOST and _PORT.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(project: int | None, url: str | None, as_json: bool) -> None:
    """Check settings, model, Redis, backend and Label Studio, and with PROJECT its config, connection and images.

    Exit status: 0 where all is well or only warned about, 1 where clicks cannot work.
    """
    from backend.operations.doctor import FAIL, examine
    from backend.settings import Settings

    found = []
    for finding in examine(Settings.from_env(), project, url):
        found.append(finding)
        if not as_json:
            level = click.style(f"{finding.level:4}", fg=COLOURS[finding.level])
            click.echo(f"{level}  {finding.subject:13} {finding.text}")
    if as_json:
        click.echo(json.dumps([vars(finding) for finding in found]))
    sys.exit(any(finding.level == FAIL for finding in found))
