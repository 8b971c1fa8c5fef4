"""`clickmask evaluate`: let an automatic annotator click, and report NoC, IoU over clicks and speed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from backend.cli.output import output
from backend.cli.picture import as_picture

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from model.evaluation.report import Record, Report
    from model.inference.predictor import Predictor
    from model.scene import Sample

SHEET_CLICKS = 5  # the contact sheet shows the masks after so many clicks

console = Console(stderr=True, markup=False)


FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("evaluate")
@click.argument("model", required=False)
@click.option(
    "--data",
    "paths",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A set: a folder with images/ and masks/ or with items.json, or a JSON export of Label Studio. "
    "Repeatable.",
)
@click.option("--project", "projects", type=int, multiple=True, help="A Label Studio project. Repeatable.")
@click.option(
    "--label-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Labeling config (XML) of an export whose tasks have more data than an image.",
)
@click.option("--part", default="public", show_default=True, help="Part of sets that have a split.json.")
@click.option("--min-area", default=1, show_default=True, help="Leave out smaller objects, in pixels.")
@click.option("--max-objects", type=click.IntRange(1), help="At most so many objects per set, evenly spread.")
@click.option(
    "--clicker", type=click.Choice(["classic", "noisy", "both"]), default="classic", show_default=True
)
@click.option("--clicks", type=click.IntRange(1), default=20, show_default=True, help="Clicks per object.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noisy clicker.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "openvino"]), default="auto", show_default=True
)
@click.option(
    "--size",
    type=click.IntRange(32),
    help="Side of the network's input, instead of the card's `size`; its `later` and `closer` stay.",
)
@click.option("--flip", is_flag=True, help="Average with the mirrored image (twice the time).")
@click.option(
    "--batch", type=click.IntRange(1), default=16, show_default=True, help="Objects per network pass."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32"]),
    default="float32",
    show_default=True,
    help="auto computes as the server does, in bfloat16 where the hardware can.",
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads.")
@click.option(
    "--resume", type=FILE, help="Keep finished objects in this file, and do not repeat those that it holds."
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures and clicks as JSON, no table.")
@click.option("--plot", type=FILE, callback=as_picture, help="IoU over clicks, .png or .svg.")
@click.option("--sheet", type=FILE, callback=as_picture, help="The worst objects, .png or .svg.")
@click.option("--worst", type=click.IntRange(1), default=12, show_default=True, help="Objects on the sheet.")
def command(model: str | None, paths: tuple[Path, ...], projects: tuple[int, ...], **options: Any) -> None:
    """Measure MODEL: a version or line of the registry, or a checkpoint's folder. Default: the base model.

    NoC@85 is the mean number of clicks until an object's IoU is 0.85 (those that never get there count as the
    maximum); IoU@5 the mean IoU after five clicks. A project's own model has learned from most of its images.
    """
    sets = _sets(paths, projects, options)
    subject = _load(model, options)
    reports = _evaluate(subject, sets, _states(paths, projects) if options["resume"] else {}, options)
    if options["as_json"]:
        click.echo(json.dumps(_json(subject, reports)))
    else:
        click.echo(f"{subject.name} on {subject.device}, input {subject.identity['size']}")
        output().print(_table(reports))
        click.echo("≥n@90: objects with NoC@90 = n, the maximum; spoiled: a click cost over 0.05 of IoU")
    _draw(subject, sets, reports, options)


@dataclass(frozen=True)
class Subject:
    """What is measured; `identity` names everything about it that figures depend on."""

    name: str
    identity: dict[str, Any]
    device: str
    predictor: Predictor
    threshold: float


def _sets(paths: Sequence[Path], projects: Sequence[int], options: dict[str, Any]) -> dict[str, list[Sample]]:
    """Return the samples of every set, by its name."""
    from backend.images.store import ImageStore
    from backend.jobs.annotations import read_export, read_project
    from backend.label_studio.client import LabelStudio
    from backend.label_studio.label_config import LabelConfig
    from backend.settings import Settings
    from model.evaluation.datasets import read_folder, spread

    settings, sets, least = Settings.from_env(), dict[str, "list[Sample]"](), options["min_area"]
    client = LabelStudio(settings)
    store = ImageStore(settings, client)

    def fetch(address: str, task: int | None) -> np.ndarray:
        return store.get(address, task).pixels

    for path in paths:
        name = path.resolve().name
        if name in sets:
            raise click.UsageError(f"two sets are called {name!r}: evaluate them one after the other")
        if path.is_dir():
            sets[name] = read_folder(path, options["part"], least)
        else:
            xml = options["label_config"]
            config = xml.read_text() if xml else None
            if config is not None:
                LabelConfig.parse(config)
            sets[name] = read_export(path, config, fetch, least)
    for project in projects:
        sets[f"project {project}"] = read_project(client, project, fetch, least)
    if not sets:
        raise click.UsageError("nothing to evaluate on: give --data or --project")
    return {name: spread(samples, options["max_objects"]) for name, samples in sets.items()}


def _load(model: str | None, options: dict[str, Any]) -> Subject:
    import cv2
    import torch

    from backend.settings import Settings
    from model.engines.base import Engine
    from model.engines.factory import create_engine
    from model.engines.flip import FlipTTA
    from model.inference.config import InferenceConfig, at_size
    from model.versions import checkpoint
    from model.versions.assemble import assemble
    from model.versions.checkpoint import LOOKS, CheckpointError
    from model.versions.registry import Registry

    cv2.setNumThreads(options["threads"])
    torch.set_num_threads(options["threads"])
    settings = Settings.from_env()
    home, registry = settings.home, Registry(settings.home, settings.registry)
    name, folder = _find(model, registry)
    loaded, card = checkpoint.load(folder)
    own, devices = (loaded, at_size(card, options["size"]) if options["size"] else card), list[str]()
    base = registry.fallback(card)

    def engine(network: nn.Module, size: int) -> Engine:
        how = (options["device"], home / "engines", options["threads"], options["precision"])
        made = create_engine(network, size, *how, graphs=False)
        devices.append(made.device)
        return FlipTTA(made) if options["flip"] else made

    try:
        predictor = assemble(own, checkpoint.load(base.path) if base else None, engine)
    except CheckpointError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    identity: dict[str, Any] = {"model": name, "flip": options["flip"], "precision": options["precision"]}
    keys = ("sha256", "architecture", "encoding", "size", "inference", *LOOKS)
    identity |= {key: own[1][key] for key in keys if key in own[1]}
    identity |= {"general": base.name} if base else {}
    return Subject(name, identity, devices[0], predictor, InferenceConfig.of(card).threshold)


def _find(model: str | None, registry: Any) -> tuple[str, Path]:
    """Name and folder of a checkpoint's folder, a run's folder, a line or a version."""
    from model.versions.registry import checkpoint_in

    if model is not None and Path(model).is_dir():
        return str(Path(model)), checkpoint_in(Path(model))
    version = registry.ensure_base() if model is None else registry.find(model)
    return version.name, version.path


def _states(paths: Sequence[Path], projects: Sequence[int]) -> dict[str, str]:
    """Say for each set's name which set it is, and in which state."""
    from backend.label_studio.client import LabelStudio
    from backend.settings import Settings
    from model.evaluation.datasets import state_of

    states = {path.resolve().name: f"{path.resolve()} {state_of(path)}" for path in paths}
    return states | {f"project {n}": f"{n} {LabelStudio(Settings.from_env()).state(n)}" for n in projects}


def _evaluate(
    subject: Subject, sets: dict[str, list[Sample]], states: dict[str, str], options: dict[str, Any]
) -> dict[tuple[str, str], Report]:
    """Return one report per (set, clicker); records are gone on with only where `states` are the same."""
    from model.evaluation.evaluate import Journal, Rules, evaluate

    clickers = ("classic", "noisy") if options["clicker"] == "both" else (options["clicker"],)
    reports = {}
    with _bar() as bar:
        for name, samples in sets.items():
            for clicker in clickers:
                rules = Rules(
                    clicker,
                    options["clicks"],
                    subject.threshold,
                    seed=options["seed"],
                    batch=options["batch"],
                    workers=options["threads"],
                )
                identity = {**subject.identity, "set": states.get(name), **rules.identity()}
                journal = Journal(options["resume"], identity) if options["resume"] else None
                task = bar.add_task(f"{name}, {clicker}", total=len(samples))

                def count(_: Record, task: Any = task) -> None:
                    bar.advance(task)

                reports[name, clicker] = evaluate(subject.predictor, samples, rules, journal, count)
    return reports


def _json(subject: Subject, reports: dict[tuple[str, str], Report]) -> dict[str, Any]:
    results = [{"set": name, "clicker": clicker, **r.as_json()} for (name, clicker), r in reports.items()]
    return {**subject.identity, "device": subject.device, "results": results}


def _table(reports: dict[tuple[str, str], Report]) -> Table:
    limit = next(iter(reports.values())).max_clicks
    shown = [k for k in (1, 3, 5, 20) if k <= limit]
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("set", no_wrap=True)
    table.add_column("clicks", no_wrap=True)
    ious = [f"IoU\n@{k}" for k in shown]
    for head in ("n", "NoC\n@85", "NoC\n@90", f"≥{limit}\n@90", *ious, "spoiled", "s per\nclick"):
        table.add_column(head, justify="right")
    for (name, clicker), report in reports.items():
        table.add_row(
            name,
            clicker,
            str(len(report.records)),
            f"{report.noc(0.85):.2f}",
            f"{report.noc(0.90):.2f}",
            str(report.at_limit(0.90)),
            *(f"{report.iou_at(k):.3f}" for k in shown),
            str(report.spoiled()),
            f"{report.seconds_per_click():.3f}",
        )
    return table


def _draw(
    subject: Subject,
    sets: dict[str, list[Sample]],
    reports: dict[tuple[str, str], Report],
    options: dict[str, Any],
) -> None:
    """Write the pictures that were asked for."""
    from fine_tune import figures

    pictures = {}
    if options["plot"]:
        pictures[options["plot"]] = figures.curves(reports, f"{subject.name}: IoU over clicks")
    if options["sheet"]:
        first = {name: (sets[name], report) for (name, _), report in reversed(reports.items())}
        panels = figures.worst(subject.predictor, first, options["worst"], SHEET_CLICKS)
        title = f"{subject.name}: the worst after {SHEET_CLICKS} clicks"
        pictures[options["sheet"]] = figures.contact_sheet(panels, title)
    for path, figure in pictures.items():
        figures.save(figure, path)
        console.print(f"written: {path}")


def _bar() -> Progress:
    text = TextColumn("{task.description}", markup=False)
    return Progress(text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)
