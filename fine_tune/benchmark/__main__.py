"""Does fine-tuning help, and how long does a job take?

`python -m fine_tune.benchmark SET... --images 30` runs whole jobs on so many images of a set's train part, of which
some judge, as in a project; and counts clicks on the set's public part before and after. It prints a table
row for every model and the phases of every job in minutes, in Markdown, and writes all figures to `--json FILE`.
`--alphas 0.75 1.0` trains on all of the images instead and runs no gate, to compare weight interpolations.
`--proposals` runs the jobs and counts an annotator's actions on whole images of the public part instead; `--shuffle`
gives every image the masks of another one, as a control that must not be offered, and `--pictures FOLDER` draws good
and bad cases.
`--next SEEDS` compares the order of `clickmask next` with a random one, for a tuned `--checkpoint`.
`python -m fine_tune.benchmark --verdicts` simulates how often the gate errs, and how often it finds a gain.
Sets have the layout of `model.evaluation.datasets` with the parts `train` and `public` (`val` where there is none).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fine_tune.benchmark import actions, gain, orders, verdicts, whole_job
from fine_tune.benchmark.sets import public_objects
from fine_tune.training.fine_tuner import Effort
from model.versions import checkpoint
from model.versions.registry import PACKAGED


def head(columns: Sequence[str]) -> None:
    """Print the head of a table."""
    print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns), flush=True)


def show(values: dict[str, Any]) -> None:
    """Print a row of a table."""
    cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in values.values()]
    print("| " + " | ".join(cells) + " |", flush=True)


def table(columns: Sequence[str]) -> tuple[list[dict[str, Any]], Callable[[dict[str, Any]], None]]:
    """Print the head of a table; return its rows, which grow, and what adds one and prints it."""
    rows: list[dict[str, Any]] = []

    def note(values: dict[str, Any]) -> None:
        rows.append(values)
        show(values)

    head(columns)
    return rows, note


def run(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Make all runs that the command line asks for."""
    if options.verdicts:
        head(verdicts.COLUMNS)
        rows = list(verdicts.table(options.repetitions))
        for values in rows:
            show(values)
        return {"verdicts": rows}
    if options.next:
        return {"next": _orders(options)}
    effort = Effort(
        minutes=options.minutes,
        steps=options.steps,
        rate=options.rate,
        distillation_weight=options.distillation_weight,
        accelerator=options.accelerator,
    )
    if options.proposals:
        return {"proposals": _proposals(options, effort)}
    chosen = gain.Options(
        options.checkpoint, effort, options.objects, options.alphas, options.everywhere, options.device
    )
    others = {folder.name: public_objects(folder, options.objects) for folder in options.general}
    jobs = []
    rows, note = table(gain.COLUMNS)
    base = checkpoint.load(options.checkpoint)
    for name, samples in others.items():
        note(gain.row(name, "before", 0.0, gain.figures(base, None, samples, options.device), 0.0))
    for folder in options.sets:
        jobs += gain.measure_set(folder, options.images, others, chosen, note)
    if jobs:
        head(whole_job.COLUMNS)
        for values in jobs:
            show(values)
    return {"rows": rows, "jobs": jobs}


def _proposals(options: argparse.Namespace, effort: Effort) -> list[dict[str, Any]]:
    """Count actions with proposals, for every set and number of images."""
    rows, note = table(actions.COLUMNS)
    for folder in options.sets:
        for count in options.images:
            base = options.checkpoint, effort, options.device
            actions.measure_set(folder, count, *base, note, options.shuffle, options.pictures)
    return rows


def _orders(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare the order of `clickmask next` with a random one, for every set and seed."""
    rows, note = table(orders.COLUMNS)
    for folder in options.sets:
        orders.measure_orders(folder, options.checkpoint, options.next, options.device, note)
    return rows


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="*")
    parser.add_argument("--checkpoint", type=Path, default=PACKAGED)
    parser.add_argument(
        "--general", type=Path, nargs="*", default=[], help="further sets, clicked before and after"
    )
    parser.add_argument("--images", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--alphas", type=float, nargs="*", default=())
    parser.add_argument("--objects", type=int, default=60)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float, default=Effort.minutes)
    parser.add_argument("--distillation-weight", type=float, default=Effort.distillation_weight)
    parser.add_argument("--rate", type=float, default=Effort.rate)
    parser.add_argument("--everywhere", action="store_true", help="answer for images of any kind")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--proposals", action="store_true", help="count actions with proposals")
    parser.add_argument("--shuffle", action="store_true", help="with --proposals: the control")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="with --proposals: draw some")
    parser.add_argument("--next", type=int, metavar="SEEDS", help="compare orders of annotation")
    parser.add_argument("--verdicts", action="store_true", help="simulate the gate")
    parser.add_argument("--repetitions", type=int, default=2000, help="of every row of --verdicts")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.sets and not options.verdicts:
        parser.error("name a set, or give --verdicts")
    figures = run(options)
    if options.json:
        options.json.write_text(json.dumps({"command": sys.argv[1:], **figures}, indent=1))


if __name__ == "__main__":
    main()
