from pathlib import Path

import pytest

from backend.operations.bench import network_limits as network_limits_module
from backend.operations.bench.network_limits import _multiply_adds, network_limits
from backend.settings import Settings
from model.versions.registry import Registry
from tests.backend.published_models import CARD, add
from tests.model.official_checkpoints import SMALL_VIT, small_vit


def test_the_work_of_a_network_and_the_speed_of_the_machine(tmp_path: Path) -> None:
    version = add(Registry(tmp_path))
    limits = network_limits(Settings(home=tmp_path, device="cpu", threads=1))
    assert (limits.version, limits.network, limits.precision) == (version.name, "lite0-fpn", "float32")
    sizes = {each.size: each for each in limits.passes}
    assert CARD["size"] in sizes
    smallest = min(sizes)
    # Convolutions only: the work grows with the area, and hardly otherwise.
    for size, each in sizes.items():
        expected = sizes[smallest].multiply_adds * (size / smallest) ** 2
        assert 0.9 < each.multiply_adds / expected < 1.1
        assert each.gflops > 0
    assert limits.product > 0


def test_a_network_is_measured_as_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_limits_module, "RUNS", 1)
    monkeypatch.setattr(network_limits_module, "SIDE", 64)
    asked = {"flip": True, "stretch": True, "large_size": 448}
    card = {"architecture": SMALL_VIT, "encoding": CARD["encoding"], "size": 224, "inference": asked}
    registry = Registry(tmp_path)
    registry.promote(registry.add("base", small_vit(), card))
    limits = network_limits(Settings(home=tmp_path, device="cpu", threads=1))
    assert [each.size for each in limits.passes] == [224, 448]
    once = _multiply_adds(SMALL_VIT, False, 224)
    assert limits.passes[0].multiply_adds == 2 * once


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("simpleclick-xtiny", 4_964_614_144),
        ("simpleclick-base", 80_756_867_072),
        ("simpleclick-large", 262_813_057_024),
        ("simpleclick-huge", 699_955_937_280),
    ],
)
def test_attention_counts(name: str, expected: int) -> None:
    """Reckoned by hand from the sizes of the layers; README.md gives twice as much, with the mirror image."""
    assert _multiply_adds({"name": name, "params": {}}, False, 448) == expected
