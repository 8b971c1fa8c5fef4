"""Do proposals save work? Train a head on some images of a set, and count actions on images of its other part.

`python -m fine_tune.proposals.benchmark SET --images 10 30 100` prints one Markdown row per run. Sets have the layout
of `model.evaluation.datasets` with `split.json` (parts `train` and `public`); all objects have one label. With
`--shuffle` every training image gets the masks of another one, as a control that must not pass.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from fine_tune.proposals.gate import judge, measure_image
from fine_tune.proposals.training import STEPS, CompleteImage, train_head
from model.engines.base import Engine
from model.engines.factory import create_engine
from model.image_file import read_image
from model.proposals.propose import propose
from model.proposals.trained import make_looker
from model.versions import checkpoint
from model.versions.assemble import assemble


def read_part(folder: Path, part: str, count: int) -> list[CompleteImage]:
    """Read `count` images of a part with all their objects, drawn by a fixed seed."""
    names = set(map(str, json.loads((folder / "split.json").read_text())[part]))
    entries = [e for e in json.loads((folder / "items.json").read_text()) if str(e["id"]) in names]
    found = []
    for place in np.random.default_rng(0).permutation(len(entries))[:count]:
        entry = entries[place]
        ids = cv2.imread(str(folder / entry["mask"]), cv2.IMREAD_GRAYSCALE)
        if ids is None:
            raise SystemExit(f"{folder}: the mask of {entry['id']} cannot be read")
        masks = [ids == i for i in np.unique(ids) if i not in (0, 255)]
        image = read_image(folder / entry["image"], float("inf"))
        found.append(CompleteImage(image, masks, [0] * len(masks), ids == 255))
    return found


def shuffled(images: list[CompleteImage]) -> list[CompleteImage]:
    """Give every image the masks of the next one, resampled to its own size."""
    made = []
    for image, other in zip(images, [*images[1:], images[0]], strict=True):
        size = image.image.shape[1::-1]
        masks = [cv2.resize(m.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0 for m in other.masks]
        made.append(CompleteImage(image.image, masks, other.labels))
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--checkpoint", type=Path, default=Path(__file__).parents[2] / "model" / "weights")
    parser.add_argument("--images", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--judged", type=int, default=20, help="images of the part `public`")
    parser.add_argument("--objects", type=int, default=20, help="clicked by hand on each of them")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--shuffle", action="store_true")
    options = parser.parse_args()
    network, card = checkpoint.load(options.checkpoint)
    loaded = network, card

    def engine(network: nn.Module, size: int) -> Engine:
        return create_engine(network, size, options.device)

    predictor, looker = assemble(loaded, None, engine), make_looker(loaded, engine)
    print(
        "| set | images | offered | ratio | training s | proposals s an image | reason |\n|" + "---|" * 7,
        flush=True,
    )
    for folder in options.sets:
        judged = read_part(folder, "public", options.judged)
        for count in options.images:
            images = read_part(folder, "train", count)
            started = time.monotonic()
            maps = train_head(network, shuffled(images) if options.shuffle else images, 1, options.steps)
            trained = time.monotonic() - started
            actions = []
            for place, image in enumerate(judged):
                actions.append(measure_image(maps, looker, predictor, image, options.objects))
                print(f"{place + 1} of {len(judged)}", file=sys.stderr, flush=True)
            started = time.monotonic()
            for image in judged[:3]:
                propose(maps, looker, image.image)
            each = (time.monotonic() - started) / len(judged[:3])
            verdict = judge(actions, 1)
            name = f"{folder.name}{', shuffled' if options.shuffle else ''}"
            print(
                f"| {name} | {count} | {'yes' if verdict.offered else 'no'} | {verdict.ratio:.2f} | {trained:.0f} | "
                f"{each:.1f} | {verdict.reason} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
