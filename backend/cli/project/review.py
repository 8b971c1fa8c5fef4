"""`clickmask review`: which annotations to look at first, told from how they were clicked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.review.project_review import ProjectReview
    from backend.review.ranking import Ranking, Rated


@click.command("review")
@click.argument("project", type=int)
@click.option(
    "--apply", "publish", is_flag=True, help="Write quality_iou into the tasks and make the tab 'To review'."
)
@click.option(
    "--calibrate", is_flag=True, help="Fit the predictions to what was reviewed in this project first."
)
@click.option(
    "--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Draw the worst ones (.png, .svg)."
)
@click.option("--worst", default=20, show_default=True, help="How many to print, and at most 12 to draw.")
@click.option("--json", "as_json", is_flag=True, help="Print all as JSON.")
def command(
    project: int, publish: bool, calibrate: bool, sheet: Path | None, worst: int, as_json: bool
) -> None:
    """Rank the annotations of PROJECT by predicted IoU, worst first, with the reasons.

    Reads only, unless --apply is given; annotations are never changed.
    """
    import redis

    from backend.label_studio.client import LabelStudioError

    try:
        _review(project, publish, calibrate, sheet, worst, as_json)
    except (LabelStudioError, redis.RedisError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _review(
    project: int, publish: bool, calibrate: bool, sheet: Path | None, worst: int, as_json: bool
) -> None:
    from backend.label_studio.client import LabelStudio
    from backend.redis_store import OptionalRedis
    from backend.review import project_review
    from backend.review.click_log import ClickLog
    from backend.settings import Settings

    settings = Settings.from_env()
    if settings.redis_url is None:
        raise ValueError(
            "CLICKMASK_REDIS_URL is not set: set it to the Redis that the backend writes its traces to"
        )
    store, client = OptionalRedis(settings.redis_url, timeout_s=30), LabelStudio(settings)
    task = project_review.ProjectReview(client, ClickLog(store, settings.trace_days), settings.home, project)
    if calibrate:
        calibration, ranking = task.calibrate()
        click.echo(f"calibrated with {calibration.reviewed} reviewed objects", err=True)
    else:
        ranking = task.rank()
    _print(ranking, worst, as_json)
    if sheet is not None:
        _draw(task, ranking.rated[: min(worst, 12)], sheet, settings, client)
    if publish:
        changed = task.publish(ranking, store.client())
        click.echo(
            f"{changed} tasks got a new {project_review.COLUMN}; see the tab '{project_review.TAB}'", err=True
        )


def _print(ranking: Ranking, worst: int, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_row(entry) for entry in ranking.rated], indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "annotation", "label", "annotator", "predicted IoU", "why", box=None)
    for entry in ranking.rated[:worst]:
        row = _row(entry)
        iou = f"{row['iou']:.2f} ± {row['uncertainty']:.2f}"
        cells = (
            row["task"],
            row["annotation"],
            row["label"],
            row["annotator"],
            iou,
            ", ".join(row["reasons"]),
        )
        table.add_row(*map(str, cells))
    console = Console()
    console.print(table)
    console.print(
        f"{len(ranking.rated)} objects rated, {ranking.untraced} made without recorded clicks, "
        f"{ranking.abandoned} clicked and not kept"
    )


def _row(entry: Rated) -> dict[str, Any]:
    return {
        "task": entry.task,
        "annotation": entry.annotation,
        "region": entry.joined.accepted.id,
        "label": entry.label,
        "annotator": entry.annotator,
        "iou": round(entry.quality.iou, 3),
        "uncertainty": round(entry.quality.uncertainty, 3),
        "reasons": list(entry.reasons),
    }


def _draw(task: ProjectReview, worst: tuple[Rated, ...], path: Path, settings: Any, client: Any) -> None:
    """The contact sheet; what has no image is left out, and said."""
    from backend.images.store import ImageError, ImageStore
    from backend.review.contact_sheet import panel
    from fine_tune.figures import contact_sheet, save

    images, panels = ImageStore(settings, client), []
    configs = client.project(task.project)["label_config"]
    for entry in worst:
        try:
            panels.append(panel(entry, task.data(entry.task), configs, images))
        except (ImageError, ValueError) as error:
            click.echo(f"task {entry.task} is not drawn: {error}", err=True)
    if panels:
        save(contact_sheet(panels, f"Project {task.project}: lowest predicted IoU"), path)
        click.echo(f"{path}: {len(panels)} objects", err=True)
