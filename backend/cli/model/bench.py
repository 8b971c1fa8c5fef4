"""`clickmask bench`: how long a click takes on this machine, what that depends on, and how many people it carries."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from backend.cli.address import Address
from backend.cli.model import bench_tables
from backend.cli.model.numbers import counts
from model.cores import cores

if TYPE_CHECKING:
    from backend.operations.bench.annotators import Crowd
    from backend.operations.bench.latency import Measured, Sizes, Times
    from backend.operations.bench.network_limits import NetworkLimits
    from backend.settings import Settings

SIDES = range(32, 65_501)  # pixels; JPEG ends there
PICTURES = 16  # at least; two for each annotator

console = Console(stderr=True)


def _size(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> list[tuple[int, int]]:
    """``640x480`` -> (640, 480)."""
    sizes = []
    for text in texts:
        size = tuple(map(int, text.split("x"))) if re.fullmatch("[0-9]{1,9}x[0-9]{1,9}", text) else ()
        if len(size) != 2 or not all(side in SIDES for side in size):
            raise click.BadParameter(
                f"{text[:80]!r}: write width and height as 1920x1080, each from {SIDES[0]} to {SIDES[-1]} pixels"
            )
        sizes.append(size)
    return sizes


def _check_pixels(sizes: list[tuple[int, int]], megapixels: int) -> None:
    """Refuse pictures that the backend would refuse."""
    for width, height in sizes:
        if width * height > megapixels * 1e6:
            raise click.BadParameter(
                f"'{width}x{height}' has {width * height / 1e6:.4g} megapixels, more than the {megapixels} of "
                "CLICKMASK_MAX_IMAGE_MEGAPIXELS: choose a smaller size or raise that",
                param_hint="'--size'",
            )


@click.command("bench")
@click.option(
    "--size",
    "sizes",
    multiple=True,
    callback=_size,
    default=("640x480", "1920x1080", "4000x3000"),
    show_default=True,
    help="Image size; repeatable.",
)
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="New images per size.")
@click.option("--redis-keys", type=click.IntRange(0), default=0, help="Compare with so many keys in Redis,")
@click.option("--jobs", type=click.IntRange(0), default=0, help="so many jobs that it still knows,")
@click.option("--ledger", type=click.IntRange(0), default=0, help="so many recorded annotations,")
@click.option("--saved-masks", type=click.IntRange(0), default=0, help="so many accepted masks of the task.")
@click.option(
    "--annotators", callback=counts, help="Instead, let so many people click at once, over HTTP: 1,8,32."
)
@click.option("--think", default=3.0, show_default=True, help="Seconds an annotator pauses between clicks.")
@click.option(
    "--clicks", type=click.IntRange(1), default=20, show_default=True, help="Clicks of each annotator."
)
@click.option(
    "--url",
    type=Address(),
    help="Backend to click at. Default: one of the benchmark's own, with CLICKMASK_WORKERS processes.",
)
@click.option("--network", is_flag=True, help="Instead, measure the network alone, and what limits it.")
@click.option(
    "--sdk-python",
    help="Compare the RLE encoder with the one of Label Studio's SDK, run by this Python interpreter.",
)
@click.option("--json", "as_json", is_flag=True, help="Print seconds as JSON, no table.")
def command(
    sizes: list[tuple[int, int]],
    rounds: int,
    annotators: tuple[int, ...],
    network: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure whole /predict requests: first clicks on new images, and the clicks that follow.

    Runs the served base model with the settings of the environment, and a Redis of its own. With numbers of keys,
    jobs, records or masks, an empty backend and full ones are measured in turn and compared.
    """
    from backend.settings import Settings

    settings = Settings.from_env()
    if not network:
        _check_pixels(sizes, settings.max_image_megapixels)
    if network:
        report, show = _network(settings), bench_tables.network
    elif annotators:
        report, show = _annotators(settings, sizes, annotators, options), bench_tables.annotators
    else:
        report, show = _latency(settings, sizes, rounds, options), bench_tables.latency
    if as_json:
        json.dump(report, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(report)


def _latency(
    settings: Settings, sizes: list[tuple[int, int]], rounds: int, options: dict[str, Any]
) -> dict[str, Any]:
    from backend.operations.bench.filling import Filling
    from backend.operations.bench.latency import EMPTY, measure
    from backend.operations.bench.rle_comparison import compare_rle

    filling = Filling(options["redis_keys"], options["jobs"], options["ledger"], options["saved_masks"])
    with console.status("starting") as status:
        measured = measure(settings, sizes, rounds, filling, status.update)
        codecs = {}
        if options["sdk_python"]:
            status.update("Label Studio's RLE encoder")
            for r in measured.sizes[EMPTY]:
                with tempfile.TemporaryDirectory() as folder:
                    codecs[r.width, r.height] = compare_rle(r.masks[:20], options["sdk_python"], Path(folder))
    return {
        **_head(measured.version, measured.device),
        "rounds": rounds,
        "sizes": [_summary(r, codecs.get((r.width, r.height))) for r in measured.sizes[EMPTY]],
        "full": {name: _against_empty(measured, name) for name in measured.sizes if name != EMPTY},
    }


def _head(version: str, device: str) -> dict[str, Any]:
    return {"version": version, "device": device, "cpus": cores()}


def _summary(result: Sizes, codec: tuple[list[float], list[float]] | None) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "width": result.width,
        "height": result.height,
        "first": _percentiles(result.first),
        "later": _percentiles(result.later),
    }
    if codec is not None:
        summary["rle"] = _percentiles({"ours": codec[0], "sdk": codec[1]})
    return summary


def _against_empty(measured: Measured, name: str) -> list[dict[str, Any]]:
    """Totals of a variant, with the ratio of its median to that of the empty one."""
    from backend.operations.bench.latency import EMPTY

    rows = []
    for empty, full in zip(measured.sizes[EMPTY], measured.sizes[name], strict=True):
        row: dict[str, Any] = {"width": full.width, "height": full.height}
        for kind in ("first", "later"):
            before, after = (_percentiles(getattr(size, kind))["total"] for size in (empty, full))
            row[kind] = {**after, "ratio": round(after["p50"] / before["p50"], 3)}
        rows.append(row)
    return rows


def _percentiles(times: Times) -> dict[str, dict[str, float]]:
    """p50 and p95 of each stage, in seconds."""
    import numpy as np

    return {
        name: {f"p{share}": round(float(np.percentile(values, share)), 5) for share in (50, 95)}
        for name, values in times.items()
        if values
    }


def _annotators(
    settings: Settings, sizes: list[tuple[int, int]], annotators: tuple[int, ...], options: dict[str, Any]
) -> dict[str, Any]:
    from backend.operations.bench.annotators import check

    count, levels = max(2 * max(annotators), PICTURES), []
    with console.status("starting the server") as status, _crowd(settings, sizes, count, options) as place:
        crowd, same = place
        for number in annotators:
            level = crowd.level(number, options["clicks"], status.update)
            status.update(f"{number} annotators: comparing masks")
            check(level, same)
            levels.append(level.facts())
    workers = None if options["url"] else settings.workers
    return {"cpus": cores(), "workers": workers, "think_s": options["think"], "levels": levels}


@contextmanager
def _crowd(
    settings: Settings, sizes: list[tuple[int, int]], count: int, options: dict[str, Any]
) -> Iterator[tuple[Crowd, Settings]]:
    """Annotators at the given server, or at one that runs while the context lasts; and its settings."""
    from backend.operations.bench.annotators import Crowd, inline, pictures
    from backend.operations.bench.image_server import ImageServer
    from backend.operations.bench.serving import serving

    drawn = pictures(sizes, count)
    if options["url"]:
        url = options["url"].rstrip("/")
        yield Crowd(url, {inline(p): p for p in drawn}, settings.account, options["think"]), settings
        return
    with ImageServer() as images:
        found = {f"/data/upload/0/{number}.jpg": picture for number, picture in enumerate(drawn)}
        images.files.update({path: picture.jpeg for path, picture in found.items()})
        with serving(settings, images) as url:
            crowd = Crowd(url, found, settings.account, options["think"])
            yield crowd, replace(settings, label_studio_url=images.url)


def _network(settings: Settings) -> dict[str, Any]:
    from backend.operations.bench.network_limits import network_limits

    with console.status("measuring the network and a matrix product"):
        limits: NetworkLimits = network_limits(settings)
    return {
        **_head(limits.version, limits.device),
        "network": limits.network,
        "precision": limits.precision,
        "passes": [
            {"size": p.size, "multiply_adds": p.multiply_adds, "seconds": p.seconds, "gflops": p.gflops}
            for p in limits.passes
        ],
        "product_gflops": limits.product,
    }
