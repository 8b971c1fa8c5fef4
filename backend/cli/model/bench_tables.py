"""Prints the reports of `clickmask bench`."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from backend.cli.output import output

STAGES = ("image", "session", "predict", "clean", "encode", "http", "total")

TARGETS = "meant for two cores: later clicks on 1920x1080 in 50 / 100, first ones on 4000x3000 in 400"


def latency(report: dict[str, Any]) -> None:
    """Print the stages of a click, and how full variants compare with the empty one."""
    title = f"{report['version']} on {report['device']}, {report['cpus']} CPUs: milliseconds, p50 / p95"
    table = Table("image", "click", *STAGES, title=title, caption=TARGETS)
    for size in report["sizes"]:
        for kind in ("first", "later"):
            cells = [_cell(size[kind].get(stage)) for stage in STAGES]
            table.add_row(f"{size['width']}x{size['height']}", kind, *cells)
    out = output()
    out.print(table)
    for name, rows in report["full"].items():
        compared = Table("image", "click", "total", "median to that of the empty one", title=f"With {name}")
        for row in rows:
            for kind in ("first", "later"):
                ratio = f"{row[kind]['ratio']:.3f}"
                compared.add_row(f"{row['width']}x{row['height']}", kind, _cell(row[kind]), ratio)
        out.print(compared)
    for size in report["sizes"]:
        if "rle" in size:
            ours, sdk = _cell(size["rle"]["ours"]), _cell(size["rle"]["sdk"])
            out.print(f"RLE {size['width']}x{size['height']}: ours {ours} ms, Label Studio's SDK {sdk} ms")


def annotators(report: dict[str, Any]) -> None:
    """Print what so many annotators at once came to."""
    workers = f"{report['workers']} web processes" if report["workers"] else "a server that was running"
    title = f"{workers}, {report['cpus']} CPUs, a pause of {report['think_s']:g} s between clicks"
    heads = (
        "annotators",
        "clicks",
        "per second",
        "p50 / p95 / longest, ms",
        "refused",
        "errors",
        "wrong masks",
    )
    table = Table(*heads, "memory, MB", title=title)
    for level in report["levels"]:
        times = [level.get(key) for key in ("p50", "p95", "longest")]
        memory = f"{level['memory_mb']:.0f} ({level['memory_growth']:+.1%})" if "memory_mb" in level else "-"
        table.add_row(
            str(level["annotators"]),
            str(level["clicks"]),
            f"{level.get('per_second', 0):.1f}",
            " / ".join("-" if seconds is None else f"{1000 * seconds:.0f}" for seconds in times),
            str(level["refusals"]),
            str(level["errors"]),
            f"{level['unequal']} of {level['checked']}",
            memory,
        )
    output().print(table)


def network(report: dict[str, Any]) -> None:
    """Print how fast the network computes, and how fast a matrix product."""
    limit = report["product_gflops"]
    title = f"{report['version']} ({report['network']}) on {report['device']}, {report['cpus']} CPUs"
    table = Table(
        "input", "multiply-adds", "ms", "GFLOP/s", f"of a {report['precision']} product", title=title
    )
    for each in report["passes"]:
        table.add_row(
            f"{each['size']}x{each['size']}",
            f"{each['multiply_adds'] / 1e9:.2f} G",
            f"{1000 * each['seconds']:.1f}",
            f"{each['gflops']:.0f}",
            f"{each['gflops'] / limit:.0%}",
        )
    out = output()
    out.print(table)
    out.print(f"A plain matrix product in {report['precision']} reaches {limit:.0f} GFLOP/s")


def _cell(times: dict[str, float] | None) -> str:
    return "-" if times is None else f"{1000 * times['p50']:.1f} / {1000 * times['p95']:.1f}"
