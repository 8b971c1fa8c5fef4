"""Compares the RLE encoder with the one of Label Studio's SDK."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np

from backend.label_studio.mask_formats import rle
from backend.operations.bench.click_requests import BenchError

SDK = """
import sys, time
import numpy as np
from label_studio_sdk.converter.brush import mask2rle
masks = np.load(sys.argv[1])
for name in masks.files:
    mask = masks[name]
    begin = time.perf_counter()
    mask2rle(mask)
    print(time.perf_counter() - begin)
"""


def compare_rle(masks: list[np.ndarray], sdk_python: str, folder: Path) -> tuple[list[float], list[float]]:
    """Measure the seconds to encode each mask with our encoder, and with Label Studio's SDK run by another Python.

    Args:
        masks: HxW bool.
        sdk_python: interpreter that can import label_studio_sdk.
        folder: for a temporary file.

    Raises:
        BenchError: that interpreter cannot do it.
    """
    ours = []
    for mask in masks:
        begin = time.perf_counter()
        rle.encode(mask)
        ours.append(time.perf_counter() - begin)
    file = folder / "masks.npz"
    np.savez(file, *[mask.astype(np.uint8) * 255 for mask in masks])
    command = [sdk_python, "-c", SDK, str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise BenchError(f"{sdk_python} cannot run label_studio_sdk: {reason}") from None
    return ours, [float(line) for line in done.stdout.split()]
