"""`clickmask serve`: the web server alone, for those who run Redis and workers themselves."""

from __future__ import annotations

import click


@click.command("serve")
def command() -> None:
    """Serve Label Studio with gunicorn; settings come from the environment."""
    from backend.settings import Settings
    from backend.web.server import run

    run(Settings.from_env())
