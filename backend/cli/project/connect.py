"""`clickmask connect`: one command instead of the forms in a project's settings."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import click

from backend.cli.address import Address


@click.command("connect")
@click.argument("project", type=int)
@click.option(
    "--url",
    type=Address(),
    help="Address of the backend as Label Studio reaches it. Default: CLICKMASK_URL, else http://HOST:PORT of the "
    "settings, which is right where both run on one machine.",
)
@click.option("--labels", help="Also set the labeling config, with these labels: Cat,Dog.")
@click.option(
    "--output",
    type=click.Choice(["brush", "polygon", "bitmask", "both"]),
    default="brush",
    show_default=True,
    help="What masks become in the config that --labels sets; both: brush and polygon.",
)
@click.option(
    "--prelabel",
    is_flag=True,
    help="Let annotators find the proposals of the project's model on tasks they open; refused where there are none.",
)
def command(project: int, url: str | None, labels: str | None, output: str, prelabel: bool) -> None:
    """Connect Label Studio's PROJECT (the number in its address) to the backend.

    Adds the backend (interactive, with the password of BASIC_AUTH_USER and BASIC_AUTH_PASS if set), turns prelabeling
    off unless --prelabel is given, and gives the webhook its secret (CLICKMASK_WEBHOOK_SECRET). Safe to repeat.
    """
    from backend.label_studio.client import LabelStudio
    from backend.label_studio.connect import connect, image_tag, label_config
    from backend.operations.doctor import label_config_checks
    from backend.settings import Settings
    from backend.settings.masking import without_password

    settings = Settings.from_env()
    client = LabelStudio(settings)
    address = (url or settings.public_url).rstrip("/")
    _refuse_wildcard(address)
    if prelabel:
        from backend.operations.propose_job import served

        client.project(project)  # one that there is not has no model, either
        served(project, settings)
    if labels is not None:
        names = [name.strip() for name in labels.split(",") if name.strip()]
        if not names:
            raise click.BadParameter("name at least one label", param_hint="--labels")
        outputs = ("brush", "polygon") if output == "both" else (output,)
        image = image_tag(client.project(project)["label_config"])
        client.update_project(project, label_config=label_config(names, outputs, image))
    made = connect(client, project, address, settings, prelabel)
    config = client.project(project)["label_config"]
    problems = label_config_checks.problems(config)
    verb, shown = "is" if made.created else "was", without_password(address)
    click.echo(f"project {project} {verb} connected to {shown} (ML backend {made.backend})")
    for problem in problems + label_config_checks.warnings(config):
        click.echo(f"labeling config: {problem}", err=True)
    if problems:
        click.echo(
            f"`clickmask connect {project} --labels A,B` replaces the config by one that works", err=True
        )
    click.echo("In the labeling window: Auto-Annotation on, Auto-Accept off.")


def _refuse_wildcard(address: str) -> None:
    """Refuse an address to listen on where one to call is needed."""
    host = urlsplit(address).hostname or ""
    try:
        wildcard = ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        return
    if wildcard:
        raise click.BadParameter(
            f"{host} is where a server listens, not where it is called: give the name or address that Label Studio "
            "reaches this machine by",
            param_hint="--url",
        )
