from pathlib import Path

from model.versions.store import HISTORY, Version, pointer_text


def test_the_pointer_names_the_newest_first_and_forgets_the_oldest() -> None:
    served = [Version("base", n, f"{n:08x}", Path(f"base/{n}-{n:08x}")) for n in range(HISTORY + 5, 0, -1)]
    lines = pointer_text(served).splitlines()
    assert len(lines) == HISTORY + 1
    assert lines[0] == served[0].path.name == f"{HISTORY + 5}-{HISTORY + 5:08x}"


def test_a_version_shows_its_line_number_and_hash() -> None:
    assert Version("project-7", 3, "0a1b2c3d", Path("x")).name == "project-7-3-0a1b2c3d"
