"""Files that are no image which can be decoded: what they are, and what to do with them."""

from __future__ import annotations

PIXELS = "convert it to JPEG or PNG"
RARE_TIFF = "a TIFF of a rare kind (colour in floats, BigTIFF, a camera's raw file)"

# What a file of a kind begins with, at which byte, and how it is called.
MARKS = (
    (0, b"\xff\x0a", "JPEG XL", PIXELS),
    (0, b"\x00\x00\x00\x0cJXL \r\n", "JPEG XL", PIXELS),
    (0, b"\x00\x00\x00\x0cjP  \r\n", "JPEG 2000", PIXELS),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", PIXELS),
    (0, b"%PDF", "PDF", "export its pages as PNG"),
    (0, b"8BPS", "a Photoshop file", "export it as PNG"),
    (128, b"DICM", "DICOM", "export it as PNG"),
    (0, b"\x1f\x8b", "compressed by gzip", "unpack it, and convert an SVG to PNG"),
    (0, b"PK\x03\x04", "a zip archive", "unpack it"),
    (0, b"II*\0", RARE_TIFF, PIXELS),
    (0, b"MM\0*", RARE_TIFF, PIXELS),
    (0, b"II+\0", RARE_TIFF, PIXELS),
    (0, b"MM\0+", RARE_TIFF, PIXELS),
    (0, b"version https://git-lfs", "a pointer of Git LFS and no image", "run git lfs pull"),
)
AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def foreign_kind(data: bytes) -> str | None:
    """Say in one sentence what a file that cannot be decoded is and what to do; None where that is not known.

    Args:
        data: the file's bytes; the first thousand count.
    """
    for start, mark, name, fix in MARKS:
        if data[start : start + len(mark)] == mark:
            return f"the file is {name}, which cannot be decoded: {fix}"
    if data[4:8] == b"ftyp" and data[8:12] in AVIF_BRANDS:
        return "the AVIF file is truncated or damaged: was it uploaded whole?"
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        return f"the file is HEIC, which most browsers do not show either: {PIXELS}"
    if data[4:8] == b"ftyp":
        return f"the file is a video or an image of a kind that cannot be decoded: {PIXELS}"
    head = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in head:
        return "the file is SVG, a drawing without pixels: convert it to PNG at the size you annotate in"
    if head.startswith((b"<!doctype html", b"<html")) or (head.startswith(b"<?xml") and b"<html" in head):
        return "the file is a web page and no image: does its address need a login?"
    return None
