"""`clickmask up`: everything but Label Studio, with one command."""

from __future__ import annotations

import click


@click.command("up")
def command() -> None:
    """Run Redis, the web server and a worker until Ctrl-C.

    Redis is started here, with its data in CLICKMASK_HOME, unless CLICKMASK_REDIS_URL names one.
    """
    import time

    from backend.operations.stack import running, wait_until_ready
    from backend.operations.supervisor import Stopped, stoppable
    from backend.settings import Settings

    try:
        settings = Settings.from_env()
        url = settings.own_url
        with stoppable(), running(settings) as (children, _):
            status = wait_until_ready(children.check, url, time.sleep)
            click.echo(f"clickmask answers at {url} with {status['models']}")
            click.echo("Connect a project with `clickmask connect PROJECT`; Ctrl-C stops everything.")
            children.wait()
    except Stopped:
        click.echo("Stopped.")
