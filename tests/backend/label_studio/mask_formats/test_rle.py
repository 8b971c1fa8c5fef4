from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backend.label_studio.mask_formats import rle
from tests.backend import recordings

LABEL_STUDIO = Path(__file__).parents[4] / ".venv-labelstudio" / "bin" / "python"
MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))


def write(values: list[int], sizes: tuple[int, ...], blocks: list[tuple[int, bool]]) -> bytes:
    """Write values as ``blocks`` of (length, run) says, bit by bit as the format is described."""
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    at = 0
    for length, run in blocks:
        field = next(index for index, size in enumerate(sizes) if length <= 1 << size)
        bits += f"{int(run)}{field:02b}{length - 1:0{sizes[field]}b}"
        bits += "".join(
            f"{value:08b}" for value in (values[at : at + 1] if run else values[at : at + length])
        )
        at += length
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def soft(alpha: np.ndarray) -> list[int]:
    """Return the values of an image whose colours differ from its alpha."""
    pixels = np.empty((*alpha.shape, 4), np.uint8)
    pixels[..., :3] = [255, 0, 7]
    pixels[..., 3] = alpha
    return pixels.ravel().tolist()


def test_given_vectors_are_reproduced() -> None:
    for vector in recordings.rle_vectors():
        if "shape_hw" not in vector:
            continue
        height, width = vector["shape_hw"]
        mask = np.zeros((height, width), bool)
        if vector["mask_rows"]:
            mask = np.array(vector["mask_rows"]) > 0
        elif "box" in vector["name"]:
            mask[50:150, 20:80] = True
        assert list(rle.encode(mask)) == vector["rle"], vector["name"]
        assert np.array_equal(rle.decode(vector["rle"], height, width), np.where(mask, 255, 0)), vector[
            "name"
        ]


def test_masks_that_the_browser_wrote_come_back_the_same() -> None:
    for region in recordings.submitted("26_"):
        height, width = region["original_height"], region["original_width"]
        alpha = rle.decode(region["value"]["rle"], height, width)
        assert 0 < np.count_nonzero(alpha) < alpha.size
        # The browser pads to the byte, the SDK and this backend may add a whole byte.
        again = list(rle.encode(alpha > 0))
        assert np.array_equal(rle.decode(again, height, width) > 0, alpha > 0)


@given(MASKS)
def test_round_trip(mask: np.ndarray) -> None:
    assert np.array_equal(rle.decode(rle.encode(mask), *mask.shape), np.where(mask, 255, 0))


@pytest.mark.parametrize("shape", [(128, 128), (128, 129), (1, 16_385), (300, 1000), (1, 1)])
@pytest.mark.parametrize("fill", [False, True])
def test_long_runs_are_split(shape: tuple[int, int], fill: bool) -> None:
    mask = np.full(shape, fill)
    code = rle.encode(mask)
    assert np.array_equal(rle.decode(code, *shape) > 0, mask)
    blocks = -(-mask.size * 4 // 65_536)
    assert len(code) <= 7 + blocks * 27 // 8 + 2


@pytest.mark.parametrize("arrange", [np.transpose, np.fliplr, lambda mask: mask[::2, 1::3]])
def test_memory_order_does_not_matter(arrange: Callable[[np.ndarray], np.ndarray]) -> None:
    mask = arrange(np.random.default_rng(0).random((30, 40)) > 0.5)
    assert np.array_equal(rle.decode(rle.encode(mask), *mask.shape) > 0, mask)


@settings(max_examples=60)
@given(
    alpha=arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    sizes=st.tuples(*[st.integers(1, 15)] * 3, st.just(16)),
    data=st.data(),
)
def test_single_values_and_any_length_fields_are_read(
    alpha: np.ndarray, sizes: tuple[int, ...], data: st.DataObject
) -> None:
    values, blocks, at = soft(alpha), [], 0
    while at < len(values):
        length = data.draw(st.integers(1, len(values) - at))
        run = len(set(values[at : at + length])) == 1
        blocks.append((length, run))
        at += length
    assert np.array_equal(rle.decode(write(values, sizes, blocks), *alpha.shape), alpha)


def test_code_longer_than_a_chunk_is_read() -> None:
    alpha = np.random.default_rng(0).integers(0, 256, (150, 200), dtype=np.uint8)
    values = soft(alpha)
    whole = write(values, (3, 4, 8, 16), [(65_536, False), (len(values) - 65_536, False)])
    singles = write(values, (3, 4, 8, 16), [(1, True)] * len(values))
    assert len(whole) > 100_000
    assert np.array_equal(rle.decode(whole, *alpha.shape), alpha)
    assert np.array_equal(rle.decode(list(singles), *alpha.shape), alpha)


def test_runs_add_up_to_the_pixels() -> None:
    lengths, values = rle.runs(rle.encode(np.eye(20, dtype=bool)), 20, 20)
    assert lengths.sum() == 400
    assert lengths.min() >= 1
    assert lengths[values == 255].sum() == 20


GOOD = rle.encode(np.eye(64, dtype=bool))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ([], "header"),
        (GOOD[:6], "header"),
        (GOOD[:40], "only"),
        (GOOD[:-2], "only"),
        (bytes([255, 255, 255, 255]) + GOOD[4:], "of 4294967295 values but the image needs 16384"),
        (GOOD[:4] + bytes([0]) + GOOD[5:], "values of 1 bits"),
        ([1, 2, 300], "from 0 to 255"),
        ([1, 2, -1], "from 0 to 255"),
        ([1.5], "from 0 to 255"),
        ([256.0], "from 0 to 255"),
        ([float("nan")], "from 0 to 255"),
        ("text", "from 0 to 255"),
        (None, "from 0 to 255"),
        (5, "from 0 to 255"),
        (10**12, "from 0 to 255"),
        (write([0] * 16384, (3, 4, 8, 16), [(16385, True)]), "more of 16384"),
    ],
)
def test_malformed_code_is_refused(code: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rle.decode(code, 64, 64)  # type: ignore[arg-type]


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_has_the_right_size(tail: bytes) -> None:
    try:
        assert rle.decode(GOOD[:7] + tail, 64, 64).shape == (64, 64)
    except ValueError as error:
        assert "RLE" in str(error)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-4, -4)])
def test_size_must_be_positive(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        rle.decode(GOOD, *size)


@pytest.mark.parametrize("mask", [np.zeros((0, 4), bool), np.zeros((4, 4), np.uint8), np.zeros(4, bool)])
def test_only_masks_are_encoded(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="HxW bool"):
        rle.encode(mask)


SDK = """
import json, sys, numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle
report = []
for height, width, code in json.load(sys.stdin):
    alpha = decode_rle(code).reshape(height, width, 4)
    assert (alpha == alpha[..., 3:]).all()
    report.append([alpha[..., 3].tolist(), mask2rle(alpha[..., 3]) == code])
print(json.dumps(report))
"""


def test_label_studio_sdk_reads_and_writes_the_same_bytes() -> None:
    if not LABEL_STUDIO.exists():
        pytest.skip(f"missing: {LABEL_STUDIO}")
    rng = np.random.default_rng(0)
    masks = [rng.random((20, 30)) > share for share in (0.02, 0.5, 0.98)]
    # Runs of every length at which the choice of the length field changes: 2, 4, 64 and 16,384 pixels, and more.
    lengths = [*range(1, 70), 16_383, 16_384, 16_385, 33_000]
    masks += [np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)[None]]
    masks += [np.ones((130, 128), bool), np.eye(100, dtype=bool), np.zeros((1, 1), bool)]
    codes = [[*mask.shape, list(rle.encode(mask))] for mask in masks]
    out = subprocess.run(
        [LABEL_STUDIO, "-c", SDK], input=json.dumps(codes), capture_output=True, text=True, check=True
    )
    for mask, (alpha, same) in zip(masks, json.loads(out.stdout), strict=True):
        assert np.array_equal(np.array(alpha), np.where(mask, 255, 0))
        assert same


def test_a_code_may_stay_text_until_it_is_needed() -> None:
    code = rle.encode(np.eye(5, 7, dtype=bool))
    unread = rle.UnreadRle(str(list(code)).encode())
    assert rle.to_bytes(unread) == unread.read() == code
    assert unread.start(7) == code[:7]
    rle.check(unread, 5, 7)
    with pytest.raises(ValueError, match="the image needs"):
        rle.check(unread, 5, 8)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    code = rle.encode(np.eye(5, 7, dtype=bool))
    floats = list(map(float, code))
    assert rle.to_bytes(floats) == rle.UnreadRle(json.dumps(floats).encode()).read() == code
    rle.check(floats, 5, 7)


@pytest.mark.parametrize(
    "text", [b"[1,", b"[256]", b"[1.5]", b"[1e400]", b"[-1]", b"[[1]]", b"[]x", b"12", b"{}"]
)
def test_a_text_that_is_no_code_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match="list of whole numbers"):
        rle.UnreadRle(text).read()


def test_a_list_of_numbers_is_kept_as_bytes_where_it_is_one() -> None:
    mask = np.eye(5, dtype=bool)
    value = {"rle": list(rle.encode(mask)), "brushlabels": ["Cat"]}
    assert rle.packed(value) == {"rle": rle.encode(mask), "brushlabels": ["Cat"]}
    for other in ({"rle": [*value["rle"], 300]}, {"rle": "odd"}, {"points": [[1, 2]]}):
        assert rle.packed(other) is other
