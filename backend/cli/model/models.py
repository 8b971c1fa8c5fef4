"""`clickmask models`: the versions in the registry, and checkpoints from and to elsewhere."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Column, Table

from backend.cli.output import output

if TYPE_CHECKING:
    from model.versions.registry import Registry, Version

console = Console(stderr=True, markup=False)  # cards and paths may hold brackets

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("models")
def command() -> None:
    """List, show, promote, roll back, import and export model versions.

    VERSION is a full name (base-2-0a1b2c3d), a line and number (base-2), or a line (its promoted version).
    """


@command.command("list")
@click.option("--line", help="base or project-<id>; all lines without it.")
@_json
def list_models(line: str | None, as_json: bool) -> None:
    """List the versions; * is served."""
    registry = _registry()
    lines = [line] if line else registry.lines()
    rows = [_row(version, registry.current(name)) for name in lines for version in registry.versions(name)]
    if not rows and (trouble := registry.refresh(line or "base")):
        raise click.ClickException(f"CLICKMASK_REGISTRY cannot be read: {trouble}")
    broken = {f"{name}/{folder}": why for name in lines for folder, why in registry.broken(name).items()}
    if as_json:
        click.echo(json.dumps({"versions": rows, "broken": broken}, indent=2))
        return
    table = Table("", Column("version", no_wrap=True), "network", "input", "encoding", "created", "parent")
    for row in rows:
        mark = "*" if row["current"] else ""
        table.add_row(mark, *(str(row[key] or "") for key in row if key not in ("current", "path")))
    how = "`clickmask up` installs the default one"
    if line and line != "base":
        how = f"`clickmask fine-tune {line.removeprefix('project-')}` makes them"
    output().print(table if rows else f"no versions yet: {how}")
    for name, why in broken.items():
        console.print(f"left out {name}: {why}", soft_wrap=True)


@command.command("show")
@click.argument("version")
@_json
def show(version: str, as_json: bool) -> None:
    """Show a version's card, after checking that its weights are intact."""
    from backend.settings import Settings
    from fine_tune.project.judging.card_text import describe
    from fine_tune.project.outcome import picture_of
    from model.versions import checkpoint

    found = _registry().find(version)
    network, card = checkpoint.load(found.path)
    parameters = sum(p.numel() for p in network.parameters())
    facts = {"version": found.name, "path": str(found.path), "parameters": parameters, "card": card}
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"{found.name}: {parameters / 1e6:.1f} million parameters, weights intact\n{found.path}")
    for line in describe(card):
        click.echo(line)
    picture = picture_of(Settings.from_env().home, found.name)
    if picture.exists():
        click.echo(f"five objects before and after: {picture}")
    if "domain" in card:
        others = card.get("general", "the base model")
        click.echo(f"answers for images like those it learned from; {others} answers for others")
        card["domain"] = card["domain"] | {"exemplars": len(card["domain"]["exemplars"])}
    output().print_json(json.dumps(card))


@command.command("promote")
@click.argument("version")
@_json
def promote(version: str, as_json: bool) -> None:
    """Serve this version; running servers pick it up within seconds."""
    from model.versions import checkpoint

    registry = _registry()
    found = registry.find(version)
    checkpoint.load(found.path)  # nothing damaged is promoted
    registry.promote(found)
    _say(as_json, {"promoted": found.name}, f"{found.name} is served now")


@command.command("rollback")
@click.argument("line", default="base")
@_json
def rollback(line: str, as_json: bool) -> None:
    """Serve again what LINE (default: base) served before."""
    registry = _registry()
    before = registry.current(line)
    now = registry.rollback(line)
    was = before.name if before else None
    _say(as_json, {"promoted": now.name, "before": was}, f"{now.name} is served now, instead of {was}")


def _line(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """Refuse what is no line at once, not after minutes of downloading."""
    from model.versions.store import LINE

    if not LINE.fullmatch(name):
        raise click.BadParameter(f"{name!r} is no line of models: use base or project-<id>")
    return name


def _side(_context: click.Context, _option: click.Parameter, pixels: int | None) -> int | None:
    if pixels is not None:
        from model.networks import SIZE_STEP

        if pixels % SIZE_STEP:
            raise click.BadParameter(f"size is {pixels}; it must be a multiple of {SIZE_STEP}")
    return pixels


@command.command("import")
@click.argument("source")
@click.option("--line", callback=_line, default="base", show_default=True, help="base or project-<id>.")
@click.option("--sha256", help="Refuse a file with another digest (hex).")
@click.option("--max-mb", default=1024, show_default=True, help="Largest download.")
@click.option(
    "--size",
    type=click.IntRange(32),
    callback=_side,
    help="Side of the network's input, instead of the one it was made for.",
)
@click.option("--promote", "serve", is_flag=True, help="Serve it at once.")
@_json
def import_model(source: str, line: str, serve: bool, as_json: bool, **options: Any) -> None:
    """Add a checkpoint to the registry.

    SOURCE is lite0-fpn2 or lite0-fpn, which come with clickmask; ritm-h18s, ritm-h18 or ritm-h32, which are fetched
    from where their authors publish them; a file or http(s) address of an official RITM or SimpleClick checkpoint
    (.pth); or the folder of a run of `clickmask train`, or one with model.safetensors and card.json, as `clickmask
    models export` writes it.
    """
    from model.versions.checkpoint import read_card
    from model.versions.registry import checkpoint_in, packaged

    registry = _registry()
    folder = checkpoint_in(Path(source)) if Path(source).is_dir() else packaged().get(source)
    if folder:
        if options["sha256"] or options["size"]:
            raise click.UsageError("--sha256 and --size are for files; a folder's card says both")
        version = registry.adopt(line, folder)
    else:
        version = _import_official(registry, line, source, options)
    if serve:
        registry.promote(version)
    terms = read_card(version.path).get("terms")
    if terms:
        console.print(f"terms: {terms}", highlight=False)
    hint = "served now" if serve else f"serve it with `clickmask models promote {version.name}`"
    facts = {"imported": version.name, "promoted": serve} | ({"terms": terms} if terms else {})
    _say(as_json, facts, f"imported as {version.name}; {hint}")


@command.command("export")
@click.argument("version")
@click.argument("folder", type=click.Path(path_type=Path))
@_json
def export(version: str, folder: Path, as_json: bool) -> None:
    """Copy a version's model.safetensors and card.json into FOLDER, which must not exist."""
    from model.versions import checkpoint

    found = _registry().find(version)
    if folder.exists():
        raise click.ClickException(f"{folder} exists: name a new folder")
    checkpoint.load(found.path)
    checkpoint.copy(found.path, folder)
    _say(as_json, {"exported": found.name, "folder": str(folder)}, f"{found.name} copied to {folder}")


def _registry() -> Registry:
    from backend.settings import Settings
    from model.versions.registry import Registry

    settings = Settings.from_env()
    return Registry(settings.home, settings.registry)


def _row(version: Version, current: Version | None) -> dict[str, Any]:
    from model.versions.checkpoint import read_card

    card = read_card(version.path)
    return {
        "current": version == current,
        "version": version.name,
        "network": card["architecture"]["name"],
        "size": card["size"],
        "encoding": f"{card['encoding']['name']} {card['encoding']['radius']:g}",
        "created": card.get("created"),
        "parent": card.get("parent"),
        "path": str(version.path),
    }


def _import_official(registry: Registry, line: str, source: str, options: dict[str, Any]) -> Version:
    """Add an official checkpoint, from a file, an address or by its name."""
    from backend.operations import published_networks
    from backend.operations.model_import import import_official, public

    known = None if Path(source).exists() else published_networks.find(source)
    address, wanted = (known.address, known.sha256) if known else (source, None)
    wanted = options["sha256"] or wanted
    if known and not wanted:
        console.print(f"no checksum of {address} is published: only its network is checked", highlight=False)
    with _local(address, wanted, options["max_mb"] << 20) as (path, digest):
        told = {"address": public(address), "sha256": digest}
        return import_official(registry, line, path, told, options["size"], known.network if known else None)


@contextmanager
def _local(source: str, sha256: str | None, limit: int) -> Iterator[tuple[Path, str]]:
    """Return the source as a local file, and its sha256."""
    from rich.progress import Progress

    from backend.operations.download import DownloadError, download

    if source.startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory() as folder, Progress(console=console) as bar:
            task = bar.add_task("downloading", total=None)
            path = Path(folder) / "checkpoint.pth"
            digest = download(
                source, path, limit, sha256, lambda d, n: bar.update(task, completed=d, total=n)
            )
            yield path, digest
        return
    path = Path(source)
    if not path.is_file():
        from backend.operations.published_networks import PUBLISHED
        from model.versions.registry import packaged

        names = ", ".join([*packaged(), *PUBLISHED])
        raise DownloadError(f"{source} is no file, folder, http(s) address or name ({names}): check the path")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and digest != sha256.lower():
        raise DownloadError(f"{source} has sha256 {digest}, expected {sha256}: do not use this file")
    yield path, digest


def _say(as_json: bool, facts: dict[str, Any], sentence: str) -> None:
    click.echo(json.dumps(facts) if as_json else sentence)
