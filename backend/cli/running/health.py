"""`clickmask health`: whether the process beside which it runs does its work, for containers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backend.settings import Settings

TIMEOUT_S = 4.0
SILENT_S = 120.0  # a worker reports to Redis twice a minute


@click.command("health")
@click.argument("process", type=click.Choice(["web", "worker"]), default="web")
def command(process: str) -> None:
    """Ask the web server (ready to answer clicks?) or the worker (heard of lately?) of this machine or container.

    Exit status: 0 where all is well, 1 with the reason where it is not.
    """
    from backend.settings import Settings

    settings = Settings.from_env()
    problem = _web(settings.own_url) if process == "web" else _worker(settings)
    if problem:
        raise click.ClickException(problem)
    click.echo("well")


def _web(url: str) -> str:
    """Say what keeps the web server from answering clicks, "" for nothing."""
    import json
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/ready", timeout=TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        try:
            reason = json.load(error).get("reason")
        except (ValueError, AttributeError):
            reason = None
        return f"{url} is not ready ({error.code}): {reason or 'no reason given'}"
    except (OSError, HTTPException) as error:  # another program may listen there
        return f"{url} does not answer: {error}"


def _worker(settings: Settings) -> str:
    """Say what speaks against a living worker on this host, "" for nothing."""
    import socket

    from rq import Worker

    from backend.operations.redis_client import connected
    from fine_tune.project.scheduler import Scheduler

    with connected(settings, TIMEOUT_S) as client:
        try:
            known = Worker.all(queue=Scheduler(client).queue)  # others may have theirs in this Redis
            workers = [worker for worker in known if worker.hostname == socket.gethostname()]
        except ValueError as error:  # of another version
            return f"what a worker has reported to Redis cannot be read: {error}"
    heard = max((w.last_heartbeat.timestamp() for w in workers if w.last_heartbeat), default=None)
    if heard is None:
        return f"no worker of {socket.gethostname()} has reported to Redis"
    silent = time.time() - heard
    return f"the worker is silent for {silent:.0f} s" if silent > SILENT_S else ""
