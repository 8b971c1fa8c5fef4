"""Does fine-tuning help? Train on some images of a set, and count clicks on its other part before and after.

`python -m fine_tune.benchmark SET... --images 10 30 100 --general FOLDER` prints one table row per run, in Markdown,
and writes all figures to `--json FILE`. Sets have the layout of `model.evaluation.datasets` with the parts `train`
and `public` (`val` where there is no `public`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import nn

from fine_tune.data.project_samples import LabelledImage, Samples, is_held_out
from fine_tune.project import job
from fine_tune.project.gate import THRESHOLD
from fine_tune.training import fine_tuner
from fine_tune.training.fine_tuner import Effort
from fine_tune.training.recipe import Progress
from model.engines.factory import create_engine
from model.evaluation.datasets import read_folder, spread
from model.evaluation.evaluate import Rules, evaluate
from model.evaluation.report import Report
from model.scene import Sample
from model.versions import checkpoint
from model.versions.assemble import Loaded, assemble

COLUMNS = ("set", "images", "alpha", "NoC@85", "NoC@90", "IoU@1", "IoU@3", "IoU@5", "objects", "minutes")


def read_images(folder: Path, count: int) -> Samples:
    """Read `count` images of a set's train part with all objects; none is held out, as the other part judges."""
    entries = json.loads((folder / "items.json").read_text())
    names = set(json.loads((folder / "split.json").read_text())["train"])
    chosen = sorted((e for e in entries if e["id"] in names), key=lambda e: str(e["id"]))
    order = np.random.default_rng(0).permutation(len(chosen))[:count]
    samples = Samples()
    for entry in (chosen[i] for i in order):
        image = cv2.imread(str(folder / entry["image"]))
        ids = cv2.imread(str(folder / entry["mask"]), cv2.IMREAD_GRAYSCALE)
        if image is None or ids is None:
            raise SystemExit(f"{folder}: image or mask of {entry['id']} cannot be read")
        masks = [ids == i for i in np.unique(ids) if i not in (0, 255)]
        name = next(f"{entry['id']}/{n}" for n in range(10_000) if not is_held_out(f"{entry['id']}/{n}"))
        samples.add(LabelledImage(name, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), masks))
    return samples


def judged(folder: Path, objects: int) -> list[Sample]:
    """Choose objects of the part that is never trained on."""
    split = folder / "split.json"
    parts = json.loads(split.read_text()) if split.exists() else {}
    part = next((p for p in ("public", "val") if p in parts), None)
    return spread(read_folder(folder, part, min_area=40), objects)


def figures(own: Loaded, general: Loaded | None, samples: list[Sample], device: str) -> Report:
    """Evaluate with the classic clicker of the field."""
    predictor = assemble(own, general, lambda network, size: create_engine(network, size, device))
    return evaluate(predictor, samples, Rules("classic", threshold=THRESHOLD, batch=8))


def learn(
    base: nn.Module, card: dict[str, Any], own: Samples, options: argparse.Namespace
) -> tuple[nn.Module, int]:
    """Tune the base model; return the network and the steps that the time was enough for."""
    effort = Effort(
        options.minutes,
        rate=options.rate,
        distillation_weight=options.distillation_weight,
        accelerator=options.accelerator,
    )
    done = 0

    def on_step(progress: Progress) -> None:
        nonlocal done
        done = progress.step

    recipe = effort.recipe(own.count()["train_objects"], card["size"])
    return fine_tuner.tune(base, base, own.draw, recipe, effort, on_step), done


def row(name: str, images: str, alpha: float, report: Report, minutes: float) -> dict[str, Any]:
    """Return one run as values by column."""
    values = [report.noc(0.85), report.noc(0.9), *(report.iou_at(k) for k in (1, 3, 5))]
    facts = [name, images, alpha, *values, len(report.records), minutes]
    return dict(zip(COLUMNS, facts, strict=True))


def show(values: dict[str, Any]) -> None:
    """Print a row of the table."""
    cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in values.values()]
    print("| " + " | ".join(cells) + " |", flush=True)


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Make all runs that the command line asks for."""
    loaded = base, card = checkpoint.load(options.checkpoint)
    general = {folder.name: judged(folder, options.objects) for folder in options.general}
    rows: list[dict[str, Any]] = []

    def note(*arguments: Any) -> None:
        rows.append(row(*arguments))
        show(rows[-1])

    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    for name, samples in general.items():
        note(name, "before", 0.0, figures(loaded, None, samples, options.device), 0.0)
    for folder in options.sets:
        samples = judged(folder, options.objects)
        note(folder.name, "before", 0.0, figures(loaded, None, samples, options.device), 0.0)
        for count in options.images:
            started, own = time.monotonic(), read_images(folder, count)
            tuned, steps = learn(base, card, own, options)
            print(f"{folder.name}, {count} images: {steps} steps", file=sys.stderr, flush=True)
            minutes = (time.monotonic() - started) / 60
            described = card if options.everywhere else {**card, "domain": own.domain().as_json()}
            for alpha in options.alphas:
                made = fine_tuner.interpolate_weights(base, tuned, alpha), described
                note(folder.name, str(count), alpha, figures(made, loaded, samples, options.device), minutes)
                for other, kept in general.items():
                    report = figures(made, loaded, kept, options.device)
                    note(other, f"{folder.name} {count}", alpha, report, minutes)
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--checkpoint", type=Path, default=Path(__file__).parents[1] / "model" / "weights")
    parser.add_argument("--general", type=Path, nargs="*", default=[])
    parser.add_argument("--images", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--alphas", type=float, nargs="+", default=[job.ALPHAS[0]])
    parser.add_argument("--objects", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--distillation-weight", type=float, default=Effort.distillation_weight)
    parser.add_argument("--rate", type=float, default=Effort.rate)
    parser.add_argument("--everywhere", action="store_true", help="answer for images of any kind")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = run(options)
    if options.json:
        options.json.write_text(json.dumps({"command": sys.argv[1:], "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
