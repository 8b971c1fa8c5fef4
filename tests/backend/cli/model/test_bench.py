import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from backend.cli import main
from tests.backend.running_app import ImageServer, settings_for


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    server = ImageServer()
    yield settings_for(tmp_path_factory.mktemp("home"), server).to_env()
    server.close()


def test_json(environment: dict[str, str]) -> None:
    result = CliRunner().invoke(
        main, ["bench", "--size", "96x64", "--rounds", "1", "--json"], env=environment
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    (size,) = report["sizes"]
    assert (size["width"], size["height"]) == (96, 64)
    assert set(size["first"]["total"]) == {"p50", "p95"}
    assert size["later"]["total"]["p50"] > 0


def test_table(environment: dict[str, str]) -> None:
    result = CliRunner().invoke(main, ["bench", "--size", "96x64", "--rounds", "1"], env=environment)
    assert result.exit_code == 0, result.output
    for word in ("96x64", "first", "later", "predict", "total", "cpu (torch)"):
        assert word in result.stdout


@pytest.mark.parametrize("size", ["big", "640", "640x", "8x8"])
def test_a_size_that_is_none(size: str) -> None:
    result = CliRunner().invoke(main, ["bench", "--size", size])
    assert result.exit_code == 2
    assert "1920x1080" in result.output


def test_settings_that_cannot_be_used(environment: dict[str, str]) -> None:
    result = CliRunner().invoke(
        main, ["bench", "--size", "96x64"], env={**environment, "CLICKMASK_SLOTS": "0"}
    )
    assert result.exit_code == 1
    assert "CLICKMASK_SLOTS" in result.output
