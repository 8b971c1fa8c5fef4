from pathlib import Path

from backend.operations.bench.network_limits import network_limits
from backend.settings import Settings
from model.versions.registry import Registry
from tests.backend.published_models import CARD, add


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
