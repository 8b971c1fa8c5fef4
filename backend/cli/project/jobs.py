"""`clickmask jobs`: what the workers do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fine_tune.project.scheduler import Scheduler


@click.group("jobs")
def command() -> None:
    """List, watch and cancel jobs of fine-tuning and proposing."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_jobs(as_json: bool) -> None:
    """List the jobs that Redis still knows, the newest first."""
    from rich.table import Column, Table

    from backend.cli.output import output
    from backend.jobs.status import rows

    with _scheduler() as scheduler:
        found = rows(scheduler.jobs())
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table(Column("job", no_wrap=True), "project", "status", "phase", "why", "result")
    for values in found:
        keys = ("id", "project", "status", "phase", "why", "result")
        table.add_row(*(str(values[key] or "") for key in keys))
    output().print(table if found else "no jobs yet: `clickmask fine-tune PROJECT` queues one")


@command.command("watch")
@click.argument("job_id", required=False)
def watch(job_id: str | None) -> None:
    """Show the progress of a job (the newest one without JOB_ID) until it ends; exit status 1 if it failed."""
    with _scheduler() as scheduler:
        identity = job_id or next((job.id for job in scheduler.jobs()), None)
        if identity is None or scheduler.job(identity) is None:
            raise click.ClickException("there is no such job: see `clickmask jobs list`")
        values = _follow(scheduler, identity)
    click.echo(f"{identity} {': '.join(filter(None, (values['status'], values['result'])))}")
    if values["status"] != "finished":
        raise click.exceptions.Exit(1)


def _follow(scheduler: Scheduler, identity: str) -> dict[str, Any]:
    """Draw a job's progress until it ends, and return its last row."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from backend.jobs.status import row

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} % {task.fields[more]}", markup=False),
    ]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        bars = {"": bar.add_task("", total=1.0, more="")}  # of the whole job, then of each of its phases
        while True:
            job = scheduler.job(identity)
            values: dict[str, Any] = {"status": "gone", "result": ""} if job is None else row(job)
            if values["status"] not in ("queued", "scheduled", "deferred", "started"):
                return values
            for name, share, description, more in _bars(values):
                if name not in bars:
                    bars[name] = bar.add_task("", total=1.0, more="")
                bar.update(bars[name], description=description, completed=share, more=more)
            time.sleep(0.5)


def _bars(values: dict[str, Any]) -> Iterator[tuple[str, float, str, str]]:
    """Yield name, share, description and further words of every bar; that of the whole job has no name."""
    if values["status"] != "started":
        yield "", 0.0, ": ".join(filter(None, (values["status"], values["result"]))), ""
        return
    phases = values.get("phases") or []
    took, left = (sum(phase[key] for phase in phases) for key in ("seconds", "left_s"))
    share = took / max(took + left, 1e-3) if phases else values["share"] or 0.0
    yield "", share, "whole job" if phases else str(values["phase"]), _left(values.get("eta_s"))
    for phase in phases:
        running = phase["name"] == values["phase"]
        yield phase["name"], phase["share"], phase["name"], _more(values) if running else ""


@command.command("cancel")
@click.argument("job_id")
def cancel(job_id: str) -> None:
    """End a job: at once if it waits, between two steps if it runs. The served model stays."""
    with _scheduler() as scheduler:
        try:
            click.echo(f"{job_id}: {scheduler.cancel(job_id)}")
        except ValueError as error:  # no such job, or it is over
            raise click.ClickException(str(error)) from error


@contextmanager
def _scheduler() -> Iterator[Scheduler]:
    from backend.jobs.policy import policy
    from backend.operations.redis_client import connected
    from backend.settings import Settings
    from fine_tune.project.scheduler import Scheduler

    settings = Settings.from_env()
    with connected(settings) as client:
        yield Scheduler(client, policy(settings))


def _more(values: dict[str, Any]) -> str:
    if values.get("step") is None:
        return ""
    steps = f"step {values['step']} of {values['steps']}" if values.get("steps") else f"step {values['step']}"
    return steps if values.get("loss") is None else f"{steps}, loss {values['loss']:.3f}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds // 60:.0f}:{seconds % 60:02.0f} left"
