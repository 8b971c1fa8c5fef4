"""Label Studio's run-length code for brush masks: mask -> bytes and back, working on runs instead of bits.

The code is a bit stream, most significant bit first: 32 bits for the number of values (four channels per pixel, row
by row), 5 bits for the value size less one, four times 4 bits for the sizes of the length fields less one, then
blocks until all values are told. A block is one bit (1 = a run of one value, 0 = that many single values), two bits
that choose a length field, the length less one, and the value or values, 8 bits each. The alpha channel is the mask.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np

_WANTED = "an RLE is a list of whole numbers from 0 to 255"
_SIZES = (3, 4, 8, 16)
_HEADER_BITS = 32 + 5 + 4 * 4
_LONGEST = 1 << _SIZES[-1]
# Bits of a block that tell where the next one starts: flag, choice of length field, the longest length.
_HEAD = 3 + 16
# Bytes whose bit positions are examined together: small enough for the processor's cache.
_CHUNK = 1 << 14


class UnreadRle:
    """A code as it stands in a JSON text, which takes longer to read than most of a click."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def read(self) -> bytes:
        """Return the code; ValueError where the text is no list of byte values."""
        try:
            return to_bytes(json.loads(self.text))
        except ValueError:
            raise ValueError(_WANTED) from None

    def start(self, count: int) -> bytes:
        """Return the first bytes of the code; errors as for `read`."""
        numbers = self.text[1 : 16 * count].rstrip(b"]").split(b",")[:count]
        return UnreadRle(b"[" + b",".join(numbers) + b"]").read()


def encode(mask: np.ndarray) -> bytes:
    """Encode a mask as Label Studio and its SDK do, bit for bit: off is 0, on is 255 in all four channels.

    Args:
        mask: HxW bool, not empty.

    Returns:
        The code; its bytes as a list are ``value.rle`` of a region.

    Raises:
        ValueError: not a two-dimensional bool array with fewer than 2**30 pixels.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or not 0 < mask.size < 1 << 30:
        raise ValueError(
            f"a mask is a HxW bool array of 1 to 2**30 - 1 pixels, got {mask.dtype} {mask.shape}"
        )
    pixels = np.ascontiguousarray(mask).view(np.uint8).ravel()
    starts = np.concatenate(([0], _changes(pixels)))
    lengths = 4 * np.diff(starts, append=pixels.size)
    # A run that no length field can hold becomes several blocks, all with the longest field, the last with the rest.
    blocks = (lengths + _LONGEST - 1) // _LONGEST
    counts = np.full(blocks.sum(), _LONGEST)
    counts[np.cumsum(blocks) - 1] = lengths - (blocks - 1) * _LONGEST
    choice = np.repeat(np.searchsorted([8, 16, 256], lengths), blocks)
    values = np.repeat(np.where(pixels[starts], 255, 0), blocks)
    sizes = np.array(_SIZES)[choice]
    heads = ((4 + choice) << sizes) | (counts - 1)
    return _pack(_header(4 * pixels.size), (heads << 8) | values, sizes + 11)


def decode(code: bytes | Sequence[int], height: int, width: int) -> np.ndarray:
    """Decode the alpha channel of a mask, however it was written (runs, single values, any length fields).

    Args:
        code: the code, bytes or a list of byte values.
        height, width: size that the mask must have, pixels.

    Returns:
        HxW uint8, 0 (off) to 255 (on); masks drawn with Label Studio's brush have soft edges.

    Raises:
        ValueError: not such a code, another size, or cut off; the sentence says which.
    """
    return np.repeat(*reversed(runs(code, height, width))).reshape(height, width)


def runs(code: bytes | Sequence[int], height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Decode as far as runs of the alpha channel; arguments and errors as for `decode`.

    Returns:
        lengths: int64, each at least 1, together height * width pixels in row-major order.
        values: uint8, the alpha of each run; neighbours may be equal.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a mask has at least one pixel, got {width}x{height}")
    data, total = to_bytes(code), 4 * height * width
    sizes = _read_header(data, total)
    lengths, values, done = [], [], 0
    for counts, told in _blocks(data, sizes):
        ends = np.minimum(done + np.cumsum(counts), total + 1)
        # Values [a, b) of a run hold the alpha of the pixels p with a <= 4p + 3 < b: b // 4 - a // 4 of them.
        pixels = np.diff(ends // 4, prepend=done // 4)
        lengths.append(pixels[pixels > 0])
        values.append(told[pixels > 0])
        # A block of the next chunk may be padding: only blocks up to the last value count.
        done = int(ends[np.searchsorted(ends, total)]) if ends[-1] >= total else int(ends[-1])
        if done >= total:
            break
    if done != total:
        raise ValueError(f"the RLE tells {'more' if done > total else 'only ' + str(done)} of {total} values")
    return np.concatenate(lengths), np.concatenate(values)


def _changes(pixels: np.ndarray) -> np.ndarray:
    """Return the indices at which a flat uint8 array of zeros and ones differs from the element before."""
    return np.flatnonzero(pixels[1:] != pixels[:-1]) + 1


def _pack(header: int, codes: np.ndarray, widths: np.ndarray) -> bytes:
    """Write the header and then the lowest ``widths`` bits of each of ``codes``, at most 32."""
    codes = np.concatenate(([header >> 32, header & 0xFFFFFFFF], codes))
    widths = np.concatenate(([_HEADER_BITS - 32, 32], widths))
    ends = np.cumsum(widths)
    # Each code lies in the eight bytes that start with the byte of its first bit.
    first = (ends - widths) // 8
    shifted = codes.astype(np.uint64) << (8 * first + 64 - ends).astype(np.uint64)
    # One to eight bits of padding, as the SDK writes.
    size = int(ends[-1]) // 8 + 1
    out = np.zeros(size + 8)
    # Codes share bytes but no bits, so adding joins them; at most 32 + 7 bits lie in the first five bytes.
    for offset in range(5):
        part = (shifted >> np.uint64(56 - 8 * offset)) & np.uint64(255)
        out += np.bincount(first + offset, weights=part, minlength=size + 8)
    return out[:size].astype(np.uint8).tobytes()


def _header(total: int) -> int:
    header = (total << 5) | 7
    for size in _SIZES:
        header = (header << 4) | (size - 1)
    return header


def check(code: Any, height: int, width: int) -> None:
    """Look at a code's beginning: ValueError where it is none, or of a mask of another size."""
    size = _HEADER_BITS // 8 + 1
    if isinstance(code, UnreadRle):
        start = code.start(size)
    elif isinstance(code, (bytes, list, tuple)):
        start = to_bytes(code[:size])
    else:
        raise ValueError(_WANTED)
    _read_header(start, 4 * height * width)


def to_bytes(code: Any) -> bytes:
    """Return a code as bytes, whichever way it is written; ValueError for anything that is none."""
    if isinstance(code, UnreadRle):
        return code.read()
    # Only these: a number would make bytes() allocate as many zeros.
    if isinstance(code, (bytes, list, tuple)):
        try:
            return bytes(code)
        except (TypeError, ValueError):
            pass
        try:  # other tools write 16.0, which a browser does not tell from 16
            whole = list(map(int, code))
            if whole == list(code):
                return bytes(whole)
        except (TypeError, ValueError, OverflowError):
            pass
    raise ValueError(_WANTED)


def packed(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the ``value`` of a mask with its code as bytes: a list of numbers takes eight times the memory."""
    if isinstance(value.get("rle"), list):
        with suppress(ValueError):  # told when the mask is read
            return {**value, "rle": to_bytes(value["rle"])}
    return value


def _read_header(data: bytes, total: int) -> tuple[int, ...]:
    """Return the sizes of the four length fields after checking the rest of the header."""
    if len(data) * 8 < _HEADER_BITS:
        raise ValueError(f"an RLE has a header of 7 bytes, got {len(data)} bytes")
    header = int.from_bytes(data[:7], "big") >> (56 - _HEADER_BITS)
    if header >> 21 != total:
        raise ValueError(
            f"the RLE is of {header >> 21} values but the image needs {total} (width * height * 4)"
        )
    if (header >> 16) & 31 != 7:
        raise ValueError(f"the RLE has values of {((header >> 16) & 31) + 1} bits; only 8 are supported")
    return tuple(((header >> shift) & 15) + 1 for shift in (12, 8, 4, 0))


def _blocks(data: bytes, sizes: tuple[int, ...]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (lengths, values) of the runs that the blocks tell, chunk by chunk; a single value is a run of one."""
    raw = np.frombuffer(data + bytes(4), np.uint8)
    steps = _steps(sizes)
    position, end = _HEADER_BITS, 8 * len(data)
    while position < end:
        base = position // 8
        heads = _heads(raw[base : base + _CHUNK + 3])
        starts, position = _walk(memoryview(steps[heads]), position - 8 * base)
        position += 8 * base
        if position > end:
            # The last block is padding, or the code is cut off; the caller knows by the number of values.
            starts.pop()
        if starts:
            yield _read(raw, sizes, heads[starts], np.array(starts) + 8 * base)


def _heads(raw: np.ndarray) -> np.ndarray:
    """Return the 19 bits that follow every bit position of all but the last three bytes (uint32)."""
    wide = raw.astype(np.uint32)
    words = wide[:-3] << 24 | wide[1:-2] << 16 | wide[2:-1] << 8 | wide[3:]
    return ((words[:, None] << np.arange(8, dtype=np.uint32)) >> np.uint32(32 - _HEAD)).ravel()


@lru_cache(maxsize=4)
def _steps(sizes: tuple[int, ...]) -> np.ndarray:
    """Return the length in bits (int32) of the block for each value of its first 19 bits."""
    size, counts, run = _parse(np.arange(1 << _HEAD, dtype=np.uint32), sizes)
    return (3 + size + 8 * np.where(run, 1, counts)).astype(np.int32)


def _parse(heads: np.ndarray, sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return size of the length field, length and whether it is a run, of blocks that start with ``heads``."""
    size = np.array(sizes)[(heads >> 16) & 3]
    return size, ((heads & 0xFFFF) >> (16 - size)) + 1, (heads >> 18).astype(bool)


def _walk(steps: memoryview, position: int) -> tuple[list[int], int]:
    """Go from block to block; return where blocks start, and the first position beyond ``steps``."""
    starts, end = [], len(steps)
    while position < end:
        starts.append(position)
        position += steps[position]
    return starts, position


def _read(
    raw: np.ndarray, sizes: tuple[int, ...], heads: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (lengths, values) of the blocks at the bit positions ``starts``."""
    size, counts, run = _parse(heads, sizes)
    told = np.where(run, 1, counts)
    lengths = np.repeat(np.where(run, counts, 1), told)
    index = np.arange(len(lengths)) - np.repeat(np.cumsum(told) - told, told)
    bit = np.repeat(starts + 3 + size, told) + 8 * index
    pair = raw[bit >> 3].astype(np.int64) << 8 | raw[(bit >> 3) + 1]
    return lengths, (pair >> (8 - (bit & 7))).astype(np.uint8)
