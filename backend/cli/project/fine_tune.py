"""`clickmask fine-tune`: ask for training, or run it here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.settings import Settings


@click.command("fine-tune")
@click.argument("project", type=int)
@click.option("--sync", is_flag=True, help="Only compare the ledger with Label Studio; train nothing.")
@click.option("--now", is_flag=True, help="Train in this process, without a worker.")
@click.option(
    "--force", is_flag=True, help="Train though nothing is new, and serve the result whatever the gate says."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(project: int, sync: bool, now: bool, force: bool, as_json: bool) -> None:
    """Fine-tune the model of Label Studio project PROJECT from its accepted annotations.

    Without --now or --sync, a job is queued for the worker; watch it with `clickmask jobs watch`. Exit status 3 of
    --now: no version could be made, or the gate kept it back.
    """
    from backend.operations.redis_client import connected
    from backend.settings import Settings

    settings = Settings.from_env()
    with connected(settings) as client:
        if sync:
            _sync(project, settings, client, as_json)
        elif now:
            _run(project, settings, client, force, as_json)
        else:
            _queue(project, settings, client, force, as_json)


def _sync(project: int, settings: Settings, client: Any, as_json: bool) -> None:
    from backend.jobs.reconcile_job import compare
    from backend.label_studio.client import LabelStudio
    from fine_tune.project.ledger import Ledger

    ledger = Ledger(client)
    newer, gone = compare(project, LabelStudio(settings), client)
    facts = {
        "taken over": newer,
        "deleted": gone,
        "accepted": len(ledger.accepted(project, settings.accept)),
        "new since the last job": len(ledger.fresh(project, settings.accept)),
    }
    _say(facts, ", ".join(f"{value} {key}" for key, value in facts.items()), as_json)


def _queue(project: int, settings: Settings, client: Any, force: bool, as_json: bool) -> None:
    from backend.cli.project.number import refuse_unknown
    from backend.jobs.policy import policy
    from backend.jobs.status import announcement
    from fine_tune.project.scheduler import Scheduler

    refuse_unknown(project, settings)
    job = Scheduler(client, policy(settings)).request(project, "asked for on the command line", force=force)
    _say({"job": job.id}, announcement(job), as_json)


def _run(project: int, settings: Settings, client: Any, force: bool, as_json: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from backend.jobs.fine_tune_job import learn

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0)

        def report(phase: str, share: float, **facts: Any) -> None:
            bar.update(task, description=phase, completed=share)

        outcome = learn(project, settings, client, report, force)
    parts = (outcome.status, outcome.version, outcome.reason)
    _say(outcome.as_json(), ": ".join(filter(None, parts)), as_json)
    if outcome.status in ("kept back", "refused"):
        raise click.exceptions.Exit(3)


def _say(facts: dict[str, Any], sentence: str, as_json: bool) -> None:
    import json

    click.echo(json.dumps(facts) if as_json else sentence)
