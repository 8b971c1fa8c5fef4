"""`clickmask jobs`: what the workers do."""

from __future__ import annotations

import json
import time
from typing import Any

import click


@click.group("jobs")
def command() -> None:
    """List, watch and cancel fine-tuning jobs."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_jobs(as_json: bool) -> None:
    """List the jobs that Redis still knows, the newest first."""
    from rich.console import Console
    from rich.table import Column, Table

    from backend.jobs.status import row

    rows = [row(job) for job in _trigger().jobs()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(Column("job", no_wrap=True), "project", "status", "phase", "why", "result")
    for values in rows:
        keys = ("id", "project", "status", "phase", "why", "result")
        table.add_row(*(str(values[key] or "") for key in keys))
    Console().print(table if rows else "no jobs yet: `clickmask fine-tune PROJECT` queues one")


@command.command("watch")
@click.argument("job_id", required=False)
def watch(job_id: str | None) -> None:
    """Show the progress of a job (the newest one without JOB_ID) until it ends; exit status 1 if it failed."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from backend.jobs.status import row

    trigger = _trigger()
    identity = job_id or next((job.id for job in trigger.jobs()), None)
    job = None if identity is None else trigger.job(identity)
    if identity is None or job is None:
        raise click.ClickException("there is no such job: see `clickmask jobs list`")
    columns = [
        *Progress.get_default_columns()[:2],
        TextColumn("{task.percentage:>3.0f} % {task.fields[more]}"),
    ]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        shown = bar.add_task("", total=1.0, more="")
        while True:
            job = trigger.job(identity)
            values: dict[str, Any] = {"status": "gone", "result": ""} if job is None else row(job)
            if values["status"] not in ("queued", "scheduled", "deferred", "started"):
                break
            waits = ": ".join(filter(None, (values["status"], values["result"])))
            phase = values["phase"] if values["status"] == "started" else waits
            bar.update(shown, description=str(phase), completed=values["share"] or 0.0, more=_more(values))
            time.sleep(0.5)
    click.echo(f"{identity} {': '.join(filter(None, (values['status'], values['result'])))}")
    if values["status"] != "finished":
        raise click.exceptions.Exit(1)


@command.command("cancel")
@click.argument("job_id")
def cancel(job_id: str) -> None:
    """End a job: at once if it waits, between two steps if it runs. The served model stays."""
    try:
        click.echo(f"{job_id}: {_trigger().cancel(job_id)}")
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _trigger() -> Any:
    from backend.cli.project.fine_tune import connect
    from backend.jobs.configure import policy
    from backend.settings import Settings, SettingsError
    from fine_tune.project.scheduler import Scheduler

    try:
        settings = Settings.from_env()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    return Scheduler(connect(settings), policy(settings))


def _more(values: dict[str, Any]) -> str:
    if values.get("step") is None:
        return ""
    left = f"{values['eta_s'] // 60:.0f}:{values['eta_s'] % 60:02.0f} left"
    return f"step {values['step']}, loss {values['loss']:.3f}, {left}"
