"""`clickmask serve`: the web server alone, for those who run Redis and workers themselves."""

from __future__ import annotations

import os
import sys

import click


@click.command("serve")
def command() -> None:
    """Serve Label Studio with gunicorn; settings come from the environment."""
    from backend.settings import Settings, SettingsError

    try:
        Settings.from_env()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    arguments = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "python:backend.gunicorn_config",
        "backend.app:create_app()",
    ]
    os.execv(sys.executable, arguments)
