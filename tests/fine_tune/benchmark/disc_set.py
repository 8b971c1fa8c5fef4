"""A set of drawn discs in the layout of public sets."""

import json
from pathlib import Path

import cv2
import numpy as np

from tests.fine_tune.proposals.drawn import discs


def write_discs(home: Path, train: int, public: int) -> Path:
    """Write images of discs with their masks into `home`/discs; return that folder."""
    made, items = home / "discs", []
    for kind in ("images", "masks"):
        (made / kind).mkdir(parents=True)
    for number in range(train + public):
        scene = discs(100 + number)
        ids = np.max([(place + 1) * mask for place, mask in enumerate(scene.masks)], 0).astype(np.uint8)
        cv2.imwrite(str(made / f"images/{number}.png"), scene.image[..., ::-1])
        cv2.imwrite(str(made / f"masks/{number}.png"), ids)
        items.append({"id": number, "image": f"images/{number}.png", "mask": f"masks/{number}.png"})
    (made / "items.json").write_text(json.dumps(items))
    parts = {"train": [*range(train)], "public": [*range(train, train + public)]}
    (made / "split.json").write_text(json.dumps(parts))
    return made
