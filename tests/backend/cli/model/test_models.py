"""`clickmask models` on a real registry, files and server."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backend.cli import main
from backend.operations.published_networks import PUBLISHED
from model.networks import build
from model.versions import checkpoint
from model.versions.bucket import Bucket
from model.versions.registry import Registry
from tests.backend.http_server import Web, answers
from tests.model.official_checkpoints import (
    HRNET,
    ITERATIVE,
    config,
    small_vit,
    vit_config,
    vit_weights,
    weights_of,
    write,
)

SETTINGS = config(HRNET, width=18, ocr_width=48, small=True, **ITERATIVE)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official") / "h18s.pth"
    return write(path, weights_of(build("hrnet18s-ocr")), SETTINGS)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLICKMASK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def web(official: Path) -> Iterator[Web]:
    server = Web()
    server.routes["/h18s.pth"] = answers(200, official.read_bytes())
    server.routes["/page"] = answers(200, b"<!doctype html><html>log in first</html>")
    yield server
    server.close()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["models", *map(str, arguments)])


def facts(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_import_promote_rollback_export(official: Path, home: Path, tmp_path: Path) -> None:
    assert "no versions yet" in run("list").stdout
    first = facts("import", official, "--promote")["imported"]
    second = facts("import", official, "--size", "256")["imported"]
    assert [first[:7], second[:7]] == ["base-1-", "base-2-"]
    listed = facts("list")["versions"]
    assert [(row["version"], row["current"], row["size"]) for row in listed] == [
        (first, True, 384),
        (second, False, 256),
    ]
    assert {row["network"] for row in listed} == {"hrnet18s-ocr"}
    assert f"{second} is served now" in run("promote", "base-2").stdout
    assert facts("rollback") == {"promoted": first, "before": second}
    assert first in run("list").stdout

    shown = facts("show", "base")
    assert shown["version"] == first and shown["parameters"] == 4220047
    digest = hashlib.sha256(official.read_bytes()).hexdigest()
    assert shown["card"]["source"] == {"address": str(official), "sha256": digest}
    assert shown["card"]["encoding"] == {"name": "disk", "radius": 5.0}
    assert "weights intact" in run("show", first).stdout

    folder = tmp_path / "run" / "checkpoint"
    assert run("export", first, folder).exit_code == 0
    assert run("export", first, folder).exit_code == 1
    assert facts("import", folder.parent, "--line", "project-4")["imported"] == f"project-4-1-{first[-8:]}"
    assert facts("import", folder, "--line", "project-3")["imported"] == f"project-3-1-{first[-8:]}"
    assert Registry(home).current("project-3") is None


@pytest.mark.parametrize(("name", "most"), [("lite0-fpn", 5e6), ("lite0-fpn2", 2e6)])
def test_import_of_a_network_that_comes_with_the_package(home: Path, name: str, most: float) -> None:
    version = facts("import", name, "--promote")["imported"]
    current = Registry(home).current("base")
    assert current is not None and current.name == version
    network, card = checkpoint.load(current.path)
    assert card["architecture"]["name"] == name
    assert sum(p.numel() for p in network.parameters()) < most


def test_import_from_an_address(web: Web, official: Path, home: Path) -> None:
    digest = hashlib.sha256(official.read_bytes()).hexdigest()
    address = f"{web.url}/h18s.pth"
    secret = address.replace("//", "//me:word@") + "?token=abc"
    name = facts("import", secret, "--sha256", digest)["imported"]
    version = Registry(home).find(name)
    assert checkpoint.load(version.path)[1]["source"] == {"address": address, "sha256": digest}


@pytest.fixture
def by_name(web: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The table of published files, at the local server instead of the authors'."""
    for name, there in list(PUBLISHED.items()):
        monkeypatch.setitem(
            PUBLISHED, name, dataclasses.replace(there, address=f"{web.url}/h18s.pth", sha256=None)
        )
    return web


def test_import_by_name(by_name: Web, official: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("import", "ritm-h18s", "--json")
    assert f"no checksum of {by_name.url}/h18s.pth is published" in result.stderr.replace("\n", " ")
    source = Registry(home).find(json.loads(result.stdout)["imported"]).path
    digest = hashlib.sha256(official.read_bytes()).hexdigest()
    assert checkpoint.read_card(source)["source"] == {"address": f"{by_name.url}/h18s.pth", "sha256": digest}
    known = dataclasses.replace(PUBLISHED["ritm-h18s"], sha256=digest)
    monkeypatch.setitem(PUBLISHED, "ritm-h18s", known)
    result = run("import", "ritm-h18s")
    assert result.exit_code == 0
    assert "checksum" not in result.stderr


def test_a_file_that_is_not_what_its_name_says_is_refused(
    by_name: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("import", "ritm-h32")
    assert result.exit_code == 1
    complaint = f"{by_name.url}/h18s.pth holds hrnet18s-ocr, not hrnet32-ocr: do not use this file"
    assert complaint in result.stderr.replace("\n", " ")
    other = dataclasses.replace(PUBLISHED["ritm-h18s"], sha256="0" * 64)
    monkeypatch.setitem(PUBLISHED, "ritm-h18s", other)
    result = run("import", "ritm-h18s")
    assert result.exit_code == 1
    assert "do not use this file" in result.stderr
    assert facts("list")["versions"] == []


def test_a_file_that_has_a_name_of_ours_is_the_file(
    by_name: Web, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ritm-h32").write_bytes(official.read_bytes())
    facts("import", "ritm-h32")
    assert by_name.paths() == []


def test_terms_are_said_and_kept(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "vit.pth", vit_weights(small_vit()), vit_config())
    result = run("import", path, "--json")
    told = json.loads(result.stdout)
    assert "not for commercial use" in told["terms"]
    assert "not for commercial use" in result.stderr.replace("\n", " ")
    card = checkpoint.read_card(Registry(home).find(told["imported"]).path)
    assert card["terms"] == told["terms"]
    assert (card["size"], card["inference"]["stretch"]) == (224, True)
    result = run("import", path, "--size", "320")
    assert result.exit_code == 0
    result = run("import", path, "--size", "480", "--line", "project-4")
    assert result.exit_code == 0
    result = run("import", path, "--size", "928")
    assert result.exit_code == 1
    assert "its 58x58 patches do not divide into equal windows" in result.stderr.replace("\n", " ")
    run("export", told["imported"], tmp_path / "out")
    assert "not for commercial use" in facts("import", tmp_path / "out", "--line", "project-3")["terms"]


def test_bad_sources_add_nothing(web: Web, official: Path, home: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(official.read_bytes()[:-5000])
    for arguments, complaint in {
        (damaged,): f"{damaged} is no torch checkpoint or is damaged",
        (f"{web.url}/page",): f"{web.url}/page is a web page",
        (f"{web.url}/gone",): "answers 404",
        (f"{web.url}/h18s.pth", "--sha256", "0" * 64): "do not use this file",
        (official, "--sha256", "0" * 64): "do not use this file",
        (f"{web.url}/h18s.pth", "--max-mb", "1"): "larger than 1 MB",
        (tmp_path / "nothing.pth",): "is no file, folder, http",
        (tmp_path,): "a checkpoint is a folder with model.safetensors and card.json",
        ("simpleclick-base",): "open https://drive.google.com/drive/folders/",
        (
            "ritm-h19",
        ): "is no file, folder, http(s) address or name (lite0-fpn2, lite0-fpn, ritm-h18s, ritm-h18, ritm-h32)",
    }.items():
        result = run("import", *arguments)
        assert result.exit_code == 1, result.output
        assert complaint in result.stderr.replace("\n", " ")
        assert isinstance(result.exception, SystemExit)  # a message, no traceback
    assert facts("list") == {"versions": [], "broken": {}}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(("--line", "mine"), "use base or project-<id>"), (("--size", "100"), "must be a multiple of 32")],
)
def test_bad_options_are_refused_before_anything_is_fetched(web: Web, options, complaint) -> None:
    result = run("import", f"{web.url}/gone", *options)
    assert result.exit_code == 2, result.output
    assert complaint in " ".join(result.output.split())


def test_nothing_damaged_is_promoted(official: Path, home: Path) -> None:
    name = facts("import", official)["imported"]
    weights = Registry(home).find(name).path / checkpoint.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    for subcommand in ("promote", "show"):
        result = run(subcommand, name)
        assert result.exit_code == 1
        assert "was cut short or altered" in result.stderr
    assert Registry(home).current("base") is None
    weights.unlink()
    listed = facts("list")
    assert listed["versions"] == [] and "is missing" in listed["broken"][f"base/{name[5:]}"]


def test_unknown_names_are_answered_with_known_ones(official: Path) -> None:
    name = facts("import", official)["imported"]
    result = run("promote", "base-9")
    assert result.exit_code == 1 and name in result.stderr
    result = run("rollback")
    assert result.exit_code == 1 and "no version was served before" in result.stderr


def test_who_makes_the_first_version_of_a_line(home: Path) -> None:
    assert run("list").stdout == "no versions yet: `clickmask up` installs the default one\n"
    assert (
        run("list", "--line", "project-7").stdout == "no versions yet: `clickmask fine-tune 7` makes them\n"
    )


def test_a_store_that_does_not_answer_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(bucket: Bucket, prefix: str) -> list[str]:
        raise OSError("memory://away: there is nobody")

    monkeypatch.setattr(Bucket, "find", away)
    monkeypatch.setenv("CLICKMASK_REGISTRY", "memory://away")
    for arguments in (["list"], ["list", "--json"]):
        answer = run(*arguments)
        assert answer.exit_code == 1
        assert "CLICKMASK_REGISTRY cannot be read: memory://away: there is nobody" in answer.output
