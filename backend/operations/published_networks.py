"""Networks that can be imported by name: where their authors publish the files, and how a file is recognised.

Checksums are those that others have written down in public for the same address; the authors give none.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.operations.download import DownloadError

RITM = "https://github.com/SamsungLabs/ritm_interactive_segmentation/releases/download/v1.0"
SIMPLECLICK = "https://drive.google.com/drive/folders/1qpK0gtAPkVMF7VC42UA9XF4xMWr5KJmL"


@dataclass(frozen=True)
class Published:
    """One published checkpoint.

    Attributes:
        address: of the file.
        network: the architecture that the file must hold, by its name in `model.networks`.
        sha256: hex digest of the file; None where no public source has one.
    """

    address: str
    network: str
    sha256: str | None = None


PUBLISHED = {
    "ritm-h18s": Published(f"{RITM}/coco_lvis_h18s_itermask.pth", "hrnet18s-ocr"),
    "ritm-h18": Published(
        f"{RITM}/coco_lvis_h18_itermask.pth",
        "hrnet18-ocr",
        "5f69cfce354d1507e3850bfc39ee7057c8dd27b6a4910d1d2dc724916b9ee32b",
    ),
    "ritm-h32": Published(f"{RITM}/coco_lvis_h32_itermask.pth", "hrnet32-ocr"),
}

BY_HAND = {  # name -> file in the one folder of SimpleClick, which has no addresses for programs, and its size
    "simpleclick-xtiny": ("sbd_vit_xtiny.pth", "16 MB"),
    "simpleclick-base": ("cocolvis_vit_base.pth", "0.4 GB"),
    "simpleclick-large": ("cocolvis_vit_large.pth", "1.3 GB"),
    "simpleclick-huge": ("cocolvis_vit_huge.pth", "2.7 GB"),
}


def find(name: str) -> Published | None:
    """Look up a name; None where it is none of the known ones.

    Raises:
        DownloadError: a file that is published, but that only a person can fetch; the message says where.
    """
    if name in BY_HAND:
        file, size = BY_HAND[name]
        raise DownloadError(
            f"{name} has no address that a program could fetch: open {SIMPLECLICK} in a browser, download {file} "
            f"(about {size}) and run `clickmask models import {file}`"
        )
    return PUBLISHED.get(name)
