import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
from tests.backend.running_app import ImageServer, settings_for


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    server = ImageServer()
    yield settings_for(tmp_path_factory.mktemp("home"), server).to_env()
    server.close()


def bench(environment: dict[str, str], *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["bench", "--size", "96x64", *arguments], env=environment)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    ("size", "limit"),
    [
        ("0x0", "from 32 to 65500 pixels"),
        ("-5x100", "from 32 to 65500 pixels"),
        ("99999x99999", "from 32 to 65500 pixels"),
        ("9" * 5000 + "x100", "from 32 to 65500 pixels"),
        ("60000x60000", "3600 megapixels, more than the 100 of CLICKMASK_MAX_IMAGE_MEGAPIXELS"),
    ],
)
def test_sizes_that_cannot_be_measured_are_refused(size: str, limit: str) -> None:
    result = CliRunner().invoke(main, ["bench", f"--size={size}"], env={"COLUMNS": "400"})
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "'--size'" in said and f"'{size[:80]}'" in said and limit in said


def test_json(environment: dict[str, str]) -> None:
    report = json.loads(bench(environment, "--rounds", "1", "--ledger", "5", "--json").stdout)
    (size,) = report["sizes"]
    assert (size["width"], size["height"]) == (96, 64)
    assert set(size["first"]["total"]) == {"p50", "p95"}
    assert size["later"]["total"]["p50"] > 0
    ((full,),) = report["full"].values()
    assert set(full["later"]) == {"p50", "p95", "ratio"}


def test_table(environment: dict[str, str]) -> None:
    shown = bench(environment, "--rounds", "1", "--saved-masks", "4").stdout
    for word in ("96x64", "first", "later", "predict", "total", "cpu (torch)", "With 4 saved masks"):
        assert word in shown


def test_annotators(environment: dict[str, str]) -> None:
    shown = bench(environment, "--annotators", "1,2", "--think", "0", "--clicks", "5").stdout
    for word in ("annotators", "per second", "0 of 5", "0 of 10", "1 web processes"):
        assert word in shown


def test_network(environment: dict[str, str]) -> None:
    shown = bench(environment, "--network").stdout
    for word in ("lite0-fpn", "multiply-adds", "GFLOP/s", "A plain matrix product"):
        assert word in shown


@pytest.mark.parametrize("size", ["big", "640", "640x", "8x8"])
def test_a_size_that_is_none(size: str) -> None:
    result = CliRunner().invoke(main, ["bench", "--size", size])
    assert result.exit_code == 2
    assert "1920x1080" in result.output


@pytest.mark.parametrize("counts", ["many", "1,,2", "0", "1;2"])
def test_numbers_that_are_none(counts: str) -> None:
    result = CliRunner().invoke(main, ["bench", "--annotators", counts])
    assert result.exit_code == 2
    assert "32,64,96" in result.output


def test_settings_that_cannot_be_used(environment: dict[str, str]) -> None:
    result = CliRunner().invoke(
        main, ["bench", "--size", "96x64"], env={**environment, "CLICKMASK_SLOTS": "0"}
    )
    assert result.exit_code == 1
    assert "CLICKMASK_SLOTS" in result.output
