"""Does fine-tuning help? Train on some images of a set, and count clicks on its other part before and after."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from fine_tune.benchmark.sets import public_objects, read_images
from fine_tune.benchmark.whole_job import run_job
from fine_tune.data.project_samples import Samples
from fine_tune.project.judging.gate import THRESHOLD
from fine_tune.training import fine_tuner
from fine_tune.training.fine_tuner import Effort
from fine_tune.training.recipe import Progress
from model.engines.factory import create_engine
from model.evaluation.evaluate import Rules, evaluate
from model.evaluation.report import Report
from model.scene import Sample
from model.versions import checkpoint
from model.versions.assemble import Loaded, assemble

COLUMNS = ("set", "images", "alpha", "NoC@85", "NoC@90", "IoU@1", "IoU@3", "IoU@5", "objects", "minutes")
Note = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        checkpoint: folder of the base model.
        effort: of every training.
        objects: of a set's public part are clicked.
        alphas: of weight interpolation; () runs whole jobs, which choose it themselves.
        everywhere: let the tuned model answer for images of any kind.
        device: of the predictors.
    """

    checkpoint: Path
    effort: Effort
    objects: int = 60
    alphas: Sequence[float] = ()
    everywhere: bool = False
    device: str = "auto"


def figures(own: Loaded, fallback: Loaded | None, samples: list[Sample], device: str) -> Report:
    """Evaluate with the classic clicker of the field."""
    engine = partial(create_engine, device=device, graphs=False)
    return evaluate(assemble(own, fallback, engine), samples, Rules("classic", threshold=THRESHOLD, batch=8))


def row(name: str, images: str, alpha: float, report: Report, minutes: float) -> dict[str, Any]:
    """Return one run as values by column."""
    values = [report.noc(0.85), report.noc(0.9), *(report.iou_at(k) for k in (1, 3, 5))]
    facts = [name, images, alpha, *values, len(report.records), minutes]
    return dict(zip(COLUMNS, facts, strict=True))


def measure_set(
    folder: Path, counts: Sequence[int], others: Mapping[str, list[Sample]], options: Options, note: Note
) -> list[dict[str, Any]]:
    """Measure one set before, and after learning from so many images; `note` gets every row at once.

    Args:
        others: further objects by the name of their set, clicked with every model.

    Returns:
        The rows of whole jobs; none where `alphas` are given.
    """
    loaded, samples = checkpoint.load(options.checkpoint), public_objects(folder, options.objects)
    jobs = []
    note(row(folder.name, "before", 0.0, figures(loaded, None, samples, options.device), 0.0))
    for count in counts:
        for made, alpha, minutes, job in _made(folder, count, loaded, options):
            note(row(folder.name, str(count), alpha, figures(made, loaded, samples, options.device), minutes))
            for other, kept in others.items():
                report = figures(made, loaded, kept, options.device)
                note(row(other, f"{folder.name} {count}", alpha, report, minutes))
            jobs += [job] if job else []
    return jobs


def _made(
    folder: Path, count: int, base: Loaded, options: Options
) -> list[tuple[Loaded, float, float, dict[str, Any] | None]]:
    """Make models from images: what they are, alpha, minutes, and the row of the job if it was one."""
    if not options.alphas:
        with run_job(options.checkpoint, read_images(folder, count), options.effort, options.device) as run:
            facts = run.row(folder.name, count)
            made = base if run.version is None else checkpoint.load(run.version)
            alpha = run.outcome.metrics.get("share", 0.0)
            return [(made, alpha, facts["minutes"], facts)]
    started, own = time.monotonic(), read_images(folder, count, all_train=True)
    tuned = _tune(base, own, options)
    minutes = (time.monotonic() - started) / 60
    card = base[1] if options.everywhere else {**base[1], "domain": own.domain().as_json()}
    mixed = [(fine_tuner.interpolate_weights(base[0], tuned, alpha), alpha) for alpha in options.alphas]
    return [((network, card), alpha, minutes, None) for network, alpha in mixed]


def _tune(base: Loaded, own: Samples, options: Options) -> nn.Module:
    done: list[Progress] = []
    encoding = base[1]["encoding"]["name"], base[1]["encoding"]["radius"]
    recipe = options.effort.recipe(own.count()["train_objects"], base[1]["size"], base[0], encoding)
    return fine_tuner.tune(base[0], base[0], own.draw, recipe, options.effort, done.append)
