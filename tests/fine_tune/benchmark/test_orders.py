"""The order of `clickmask next` against a random one, on drawn discs."""

from pathlib import Path
from typing import Any

import pytest

from fine_tune.benchmark import orders
from fine_tune.benchmark.orders import COLUMNS, measure_orders
from fine_tune.proposals.training import train_head
from model.versions import checkpoint
from tests.fine_tune.benchmark.disc_set import write_discs
from tests.fine_tune.shape_project import CARD, network


def test_both_orders_are_counted_for_every_size_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkpoint.save(tmp_path / "weights", network(), CARD)
    sizes = {"SIZES": (2, 3), "FIRST": 1, "TUNED_ON": 1, "POOL": 4, "JUDGED": 2, "OBJECTS": 1}
    for name, value in sizes.items():
        monkeypatch.setattr(orders, name, value)
    monkeypatch.setattr(orders, "train_head", lambda *args: train_head(*args, steps=2))
    rows: list[dict[str, Any]] = []
    measure_orders(write_discs(tmp_path, train=5, public=2), tmp_path / "weights", 2, "cpu", rows.append)
    assert [tuple(row) for row in rows] == [COLUMNS] * 4
    assert [(row["images"], row["seed"]) for row in rows] == [(2, 0), (3, 0), (2, 1), (3, 1)]
    for row in rows:
        assert row["random"] > 0 and row["next"] > 0 and row["by hand"] >= 5
        assert row["next / random"] == row["next"] / row["random"]
