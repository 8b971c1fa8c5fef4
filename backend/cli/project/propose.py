"""`clickmask propose`: let the project's model click first."""

from __future__ import annotations

import json

import click


@click.command("propose")
@click.argument("project", type=int)
@click.option(
    "--limit", type=click.IntRange(1), help="Tasks that get proposals, at most; the lowest numbers first."
)
@click.option("--now", is_flag=True, help="Propose in this process, without a worker.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(project: int, limit: int | None, now: bool, as_json: bool) -> None:
    """Write proposals for the tasks of PROJECT that nobody has annotated.

    Needs a model whose proposals passed their gate (`clickmask models show project-PROJECT`). Predictions of earlier
    versions are replaced, annotated tasks left alone. Without --now, a job is queued for the worker; watch it with
    `clickmask jobs watch`. Done again, it goes on with tasks that have no proposals yet.
    """
    from backend.cli.project.number import refuse_unknown
    from backend.jobs.status import announcement
    from backend.operations.propose_job import enqueue, propose, served
    from backend.operations.redis_client import connected
    from backend.settings import Settings

    settings = Settings.from_env()
    refuse_unknown(project, settings)
    if now:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task("proposing", total=1.0)
            proposed = propose(
                project, settings, lambda phase, share, **_: bar.update(task, completed=share), limit
            )
        facts = {**vars(proposed)}
        click.echo(json.dumps(facts) if as_json else proposed.sentence)
        return
    served(project, settings)  # says at once what a job would find out
    with connected(settings) as client:
        job = enqueue(client, project, limit, settings)
        click.echo(json.dumps({"job": job.id}) if as_json else announcement(job))
