"""`clickmask bench`: how long a click takes on this machine, stage by stage."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from backend.operations.bench import Sizes, Times

STAGES = ("image", "session", "predict", "clean", "encode", "http", "total")

TARGETS = "meant for two cores: later clicks on 1920x1080 in 50 / 100, first ones on 4000x3000 in 400"

console = Console(stderr=True)


def _size(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> list[tuple[int, int]]:
    """``640x480`` -> (640, 480)."""
    sizes = []
    for text in texts:
        width, _, height = text.partition("x")
        if not (width.isdecimal() and height.isdecimal() and int(width) >= 32 and int(height) >= 32):
            raise click.BadParameter(f"{text!r}: write width and height as 1920x1080, 32 pixels at least")
        sizes.append((int(width), int(height)))
    return sizes


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
@click.option(
    "--sdk-python",
    help="Compare the RLE encoder with the one of Label Studio's SDK, run by this Python interpreter.",
)
@click.option("--json", "as_json", is_flag=True, help="Print seconds as JSON, no table.")
def command(sizes: list[tuple[int, int]], rounds: int, sdk_python: str | None, as_json: bool) -> None:
    """Measure whole /predict requests: first clicks on new images, and the clicks that follow.

    Runs the served base model in this process, with the settings of the environment.
    """
    from backend.operations.bench import compare_rle, measure
    from backend.settings import Settings

    settings = Settings.from_env()
    with console.status("starting") as status:
        version, device, results = measure(settings, sizes, rounds, status.update)
        codecs = {}
        if sdk_python:
            status.update("Label Studio's RLE encoder")
            for r in results:
                with tempfile.TemporaryDirectory() as folder:
                    codecs[r.width, r.height] = compare_rle(r.masks[:20], sdk_python, Path(folder))
    report = {
        "version": version,
        "device": device,
        "cpus": os.cpu_count(),
        "rounds": rounds,
        "sizes": [_summary(r, codecs.get((r.width, r.height))) for r in results],
    }
    if as_json:
        json.dump(report, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show(report)


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


def _percentiles(times: Times) -> dict[str, dict[str, float]]:
    """p50 and p95 of each stage, in seconds."""
    import numpy as np

    return {
        name: {f"p{share}": round(float(np.percentile(values, share)), 5) for share in (50, 95)}
        for name, values in times.items()
        if values
    }


def _show(report: dict[str, Any]) -> None:
    title = f"{report['version']} on {report['device']}, {report['cpus']} CPUs: milliseconds, p50 / p95"
    table = Table("image", "click", *STAGES, title=title, caption=TARGETS)
    for size in report["sizes"]:
        for kind in ("first", "later"):
            cells = [_cell(size[kind].get(stage)) for stage in STAGES]
            table.add_row(f"{size['width']}x{size['height']}", kind, *cells)
    out = Console()
    if not out.is_terminal:
        out.width = 140  # a file takes whole lines
    out.print(table)
    for size in report["sizes"]:
        if "rle" in size:
            ours, sdk = _cell(size["rle"]["ours"]), _cell(size["rle"]["sdk"])
            out.print(f"RLE {size['width']}x{size['height']}: ours {ours} ms, Label Studio's SDK {sdk} ms")


def _cell(times: dict[str, float] | None) -> str:
    return "-" if times is None else f"{1000 * times['p50']:.1f} / {1000 * times['p95']:.1f}"
