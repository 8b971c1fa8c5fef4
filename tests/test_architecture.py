"""The house: where modules and their tests stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("backend", "fine_tune", "model")
FOLDERS = sorted(
    {path.parent.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
)
LIMIT = 12
LINES = 300
WITHOUT_TESTS = {  # and why; packages (__init__.py) need none
    "backend/cli/__main__.py": "python -m backend.cli, which all tests of processes start",
    "backend/operations/doctor/finding.py": "a record without methods",
    "backend/reconciliation.py": "a name in old queues; tests/golden has a worker take such a job",
    "backend/worker_job.py": "a name in old queues; tests/golden has a worker take such a job",
    "model/errors.py": "a base class without methods",
    "model/scene.py": "records without methods",
}


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_no_folder_is_a_corridor(folder: Path):
    modules = [path.name for path in (ROOT / folder).glob("[!_]*.py")]
    limit = 8 if folder == Path("backend") else LIMIT
    assert len(modules) <= limit, f"{folder} has {len(modules)} modules: {sorted(modules)}"


def test_no_module_is_long():
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert not {path for path in modules if len(path.read_text().splitlines()) > LINES}


def mirror_of(module: Path) -> Path:
    """Where the tests of a module are: `model/click.py` -> `tests/model/test_click.py`, `__main__` -> `main`."""
    return Path("tests") / module.parent / f"test_{module.stem.strip('_')}.py"


def is_of(test: Path, mirror: Path) -> bool:
    """Whether a file has tests of the mirrored module: all, or a part, as `test_worker_signals.py` of `worker.py`."""
    return test == mirror or (test.parent == mirror.parent and test.stem.startswith(f"{mirror.stem}_"))


def test_tests_mirror_modules_one_to_one():
    modules = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    tests = {
        p.relative_to(ROOT) for package in PACKAGES for p in (ROOT / "tests" / package).rglob("test_*.py")
    }
    assert len(tests) > 150
    expected = {mirror_of(module) for module in modules if module.name != "__init__.py"}
    untested = expected - tests - {mirror_of(Path(module)) for module in WITHOUT_TESTS}
    assert not untested, f"modules without tests: {sorted(map(str, untested))}"
    orphans = {test for test in tests if not any(is_of(test, mirror_of(module)) for module in modules)}
    assert not orphans, f"tests of no module: {sorted(map(str, orphans))}; tests/application asks all of them"


def test_the_list_of_modules_without_tests_is_short_and_true():
    assert all((ROOT / module).exists() for module in WITHOUT_TESTS)
    assert not [module for module in WITHOUT_TESTS if (ROOT / mirror_of(Path(module))).exists()]
    assert len(WITHOUT_TESTS) < 10


def test_tests_take_nothing_from_other_tests():
    imports = re.compile(
        r"^\s*from tests[\w.]*\.test_\w+ import|^\s*import tests[\w.]*\.test_\w+", re.MULTILINE
    )
    taking = [path for path in (ROOT / "tests").rglob("*.py") if imports.search(path.read_text())]
    assert not taking, f"put what they share into a helper: {taking}"
