"""An image with one object that is known: what models are trained on and measured with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scene:
    """One image with one object.

    Attributes:
        image: HxWx3 uint8 RGB, EXIF orientation applied.
        truth: HxW bool, the object.
        ignore: HxW bool, pixels that count nowhere.
    """

    image: np.ndarray
    truth: np.ndarray
    ignore: np.ndarray


@dataclass(frozen=True)
class Sample:
    """One object of a set; `load` reads its scene when it is needed."""

    id: str
    load: Callable[[], Scene]
