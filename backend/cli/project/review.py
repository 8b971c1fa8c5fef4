"""`clickmask review`: which annotations to look at first, told from how they were clicked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.picture import as_picture

if TYPE_CHECKING:
    from backend.label_studio.client import LabelStudio
    from backend.review.project_review import RankedProject
    from backend.review.ranking import Ranking, RatedObject
    from backend.settings import Settings


@click.command("review")
@click.argument("project", type=int)
@click.option(
    "--apply", "publish", is_flag=True, help="Write quality_iou into the tasks and make the tab 'To review'."
)
@click.option(
    "--calibrate", is_flag=True, help="Fit the predictions to what was reviewed in this project first."
)
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=as_picture,
    help="Draw the worst ones (.png, .svg).",
)
@click.option(
    "--worst",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="How many to print, and at most 12 to draw.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all as JSON.")
def command(
    project: int, publish: bool, calibrate: bool, sheet: Path | None, worst: int, as_json: bool
) -> None:
    """Rank the annotations of PROJECT by predicted IoU, worst first, with the reasons.

    Reads only, unless --apply is given; annotations are never changed.
    """
    from backend.label_studio.client import LabelStudio
    from backend.operations.redis_client import TIMEOUT_S, connected, redis_url
    from backend.redis_store import OptionalRedis
    from backend.review.click_log import ClickLog
    from backend.review.project_review import COLUMN, TAB, ProjectReview
    from backend.settings import Settings

    settings = Settings.from_env()
    studio = LabelStudio(settings)
    with connected(settings) as client:
        log = ClickLog(OptionalRedis(redis_url(settings), TIMEOUT_S), settings.trace_days)
        review = ProjectReview(studio, log, settings.home, project)
        ranked = review.calibrate() if calibrate else review.rank()
        if calibrate:
            click.echo(f"calibrated with {ranked.calibration.reviewed} reviewed objects", err=True)
        _print(ranked.ranking, worst, as_json)
        if sheet is not None:
            _draw(ranked, min(worst, 12), sheet, settings, studio)
        if publish:
            changed = ranked.publish(client)
            click.echo(f"{changed} tasks got a new {COLUMN}; see the tab '{TAB}'", err=True)


def _print(ranking: Ranking, worst: int, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_row(entry) for entry in ranking.rated], indent=1))
        return
    from rich.table import Table

    from backend.cli.output import output

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
    console = output()
    console.print(table)
    console.print(
        f"{len(ranking.rated)} objects rated, {ranking.unmatched} made without recorded clicks, "
        f"{ranking.abandoned} clicked and not kept"
    )


def _row(entry: RatedObject) -> dict[str, Any]:
    return {
        "task": entry.task,
        "annotation": entry.annotation,
        "region": entry.matched.accepted.id,
        "label": entry.label,
        "annotator": entry.annotator,
        "iou": round(entry.quality.iou, 3),
        "uncertainty": round(entry.quality.uncertainty, 3),
        "reasons": list(entry.reasons),
    }


def _draw(ranked: RankedProject, count: int, path: Path, settings: Settings, studio: LabelStudio) -> None:
    """Draw the contact sheet of the worst objects; what has no image is left out, and said."""
    from backend.images.address import ImageError
    from backend.images.store import ImageStore
    from backend.review.contact_sheet import panel
    from fine_tune.figures import contact_sheet, save

    images, panels = ImageStore(settings, studio), []
    config = studio.project(ranked.project)["label_config"]
    for entry in ranked.ranking.rated[:count]:
        try:
            panels.append(panel(entry, ranked.data(entry.task), config, images))
        except (ImageError, ValueError) as error:
            click.echo(f"task {entry.task} is not drawn: {error}", err=True)
    if panels:
        save(contact_sheet(panels, f"Project {ranked.project}: lowest predicted IoU"), path)
        click.echo(f"{path}: {len(panels)} objects", err=True)
