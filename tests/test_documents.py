"""The pages keep to the code: paths, commands, options, targets and variables that they name are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from backend.cli import main
from backend.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("backend", "fine_tune", "model", "tests", "docs", "deploy", ".ci")
OTHERS = {  # variables that others read: docker-compose.yml, Redis, Label Studio's container
    "CLICKMASK_MEMORY",
    "CLICKMASK_WORKER_MEMORY",
    "CLICKMASK_FUZZ",
}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def code_of(page: Path) -> Iterator[str]:
    """What a page shows as code: spans, blocks, and indented lines; lines that go on are joined."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    for part in (*blocks, *re.findall(r"^    \S.*$", rest, re.M)):
        yield from part.replace("\\\n", " ").splitlines()
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest))


@each_page
def test_files_and_tests_that_are_named_exist(page: Path):
    named = [re.match(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*(?:::\w+)?", code) for code in code_of(page)]
    prose = re.findall(r"(?<![/\w])docs/[\w./-]+\w", page.read_text())
    assert page.name != "security.md" or len([name for name in named if name and "::" in name[0]]) > 10
    for name in [*(match[0] for match in named if match), *prose]:
        path, _, test = name.partition("::")
        assert (ROOT / path).exists(), name
        assert not test or f"def {test}(" in (ROOT / path).read_text(), name


@each_page
def test_links_lead_to_pages_and_headings(page: Path):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M) if anchor else ()
        assert not anchor or anchor in {
            re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings
        }, link


@each_page
def test_modules_that_are_named_alone_exist(page: Path):
    files = {path.name for folder in FOLDERS[:4] for path in (ROOT / folder).rglob("*.py")}
    spans = [code for code in code_of(page) if re.fullmatch(r"\w+\.py", code)]
    assert not set(spans) - files
    modules = {name for code in code_of(page) for name in re.findall(r"python -m ((?:\w+)(?:\.\w+)*)", code)}
    places = {name: ROOT / name.replace(".", "/") for name in modules if name.split(".")[0] in FOLDERS}
    assert not [
        n for n, p in places.items() if not (p.with_suffix(".py").exists() or (p / "__main__.py").exists())
    ]


@each_page
def test_commands_and_their_options_exist(page: Path):
    for line in code_of(page):
        for call in re.findall(r"\bclickmask ([a-z][^|;&>]*)", line):
            command: click.Command = main
            words = call.split()
            while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z-]+", words[0]):
                found = command.get_command(click.Context(command), words.pop(0))
                assert found is not None, f"clickmask {call}"
                command = found
            known = {option for parameter in command.params for option in parameter.opts}
            told = set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", " ".join(words)))
            assert told <= known, f"clickmask {call}: {told - known}"


@each_page
def test_targets_of_make_exist(page: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    told = {name for code in code_of(page) for name in re.findall(r"^(?:\S+=\S+ )*make ([a-z-]+)", code)}
    assert told <= targets, told - targets


@each_page
def test_variables_exist(page: Path):
    told = set(re.findall(r"\b(?:CLICKMASK|LABEL_STUDIO|BASIC_AUTH)_[A-Z_]+[A-Z]\b", page.read_text()))
    ours = {name for name in told if not name.startswith("LABEL_STUDIO")}
    assert ours <= set(Settings().masked()) | OTHERS, ours - set(Settings().masked())


def test_the_readme_names_every_command():
    text = PAGES[0].read_text()
    for name in main.list_commands(None):
        assert f"`{name}" in text, f"the README does not tell of {name}"


def test_every_finding_of_the_doctor_has_an_entry_in_troubleshooting():
    code = "".join(p.read_text() for p in (ROOT / "backend/operations/doctor").glob("*.py"))
    subjects = set(re.findall(r'(?:Finding\((?:WARN|FAIL), |_guarded\()"([^"]+)"', code))
    assert len(subjects) > 8
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert not {subject for subject in subjects if f"| `{subject}` |" not in page}


def test_the_drawing_and_the_readme_show_every_folder():
    folders = {path.parent.name for package in FOLDERS[:3] for path in (ROOT / package).glob("*/__init__.py")}
    drawing = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    tree = PAGES[0].read_text().split("## Working on it")[1].split("```")[1]
    assert len(folders) > 15
    assert not folders - set(re.findall(r'\["(\w+):', drawing))
    assert not folders - set(re.findall(r"(\w+)/ ", tree))
