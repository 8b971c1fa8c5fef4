"""`clickmask serve`: the web server alone, for those who run Redis and workers themselves."""

from __future__ import annotations

import click


@click.command("serve")
def command() -> None:
    """Serve Label Studio with gunicorn; settings come from the environment."""
    from backend.settings import Settings, SettingsError
    from backend.web.server import run

    try:
        settings = Settings.from_env()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    run(settings)
