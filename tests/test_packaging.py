"""What is not Python: the image, the compose file, the Makefile and the README keep to the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BIN = Path(sys.executable).parent


def tool(name: str) -> str:
    if not (BIN / name).exists():
        pytest.skip(f"{name} is not installed: `make setup`")
    return str(BIN / name)


def test_hadolint_has_nothing_against_the_dockerfile():
    done = subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_compose_file_follows_the_specification(tmp_path):
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text().replace("ports:", "port:"))
    assert subprocess.run([*command, str(broken)], capture_output=True).returncode == 1


def test_the_image_holds_all_packages_and_no_root():
    text = (ROOT / "Dockerfile").read_text()
    for package in ("backend", "fine_tune", "model"):
        assert f"COPY {package} {package}" in text
        assert f"!{package}" in (ROOT / ".dockerignore").read_text()
    assert re.findall(r"^USER (\d+)$", text, re.M)[-1] != "0"


def test_the_image_has_the_torch_of_the_package():
    pinned = re.search(r"torch==[\d.]+", (ROOT / "pyproject.toml").read_text())
    assert pinned is not None
    assert pinned[0] in (ROOT / "Dockerfile").read_text()


def test_make_knows_its_targets():
    done = subprocess.run(["make", "-n", "help", "check", "format"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_command_has_help():
    names = main.list_commands(None)
    assert {"up", "demo", "serve", "worker", "connect", "doctor", "predict", "evaluate"} <= set(names)
    for name in names:
        answer = CliRunner().invoke(main, [name, "--help"])
        assert answer.exit_code == 0, answer.output
        assert len(answer.output) > 100


def test_the_readme_names_every_command():
    text = README.read_text()
    for name in main.list_commands(None):
        assert f"`{name}" in text, f"the README does not tell of {name}"


def test_every_finding_of_the_doctor_has_an_entry_in_troubleshooting():
    code = "".join(p.read_text() for p in (ROOT / "backend/operations/doctor").glob("*.py"))
    subjects = set(re.findall(r'Finding\((?:WARN|FAIL), "([^"]+)"', code))
    assert len(subjects) > 8
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert not {subject for subject in subjects if f"| `{subject}` |" not in page}


def test_the_security_page_names_tests_that_exist():
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 10
    for path, name in named:
        assert f"def {name}" in (ROOT / path).read_text(), f"{path}::{name}"
