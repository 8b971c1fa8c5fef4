"""`python -m tests.golden.make`: write the answers of the current code into tests/golden/answers/.

Do so when an answer changes on purpose, and read the difference before it is committed.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from tests.golden.collect import SECTIONS
from tests.golden.network import Steady

ANSWERS = Path(__file__).with_name("answers")
MARGIN = 5e-4  # of each of two inputs that are added
SHIFTED = ("predictions", "projects", "recorded")  # what masks are in


def path_of(section: str) -> Path:
    """The file of a section."""
    return ANSWERS / f"{section}.json"


def main() -> None:
    """Write all sections; exit status 1 where an answer hangs on how exactly the CPU computes."""
    logging.disable()  # wrong requests are among them
    ANSWERS.mkdir(exist_ok=True)
    doubtful = []
    for section, collect in SECTIONS.items():
        answers = collect()
        path_of(section).write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")
        doubtful += [name for name in _doubtful(section, answers) if name != "metrics"]
        print(f"{section}: {len(answers)} answers")
    if doubtful:
        sys.exit(f"answers that another CPU may give otherwise: {', '.join(doubtful)}")


def _doubtful(section: str, answers: dict[str, Any]) -> list[str]:
    """Answers that change where the network reads image and mask a little brighter or darker."""
    found: list[str] = []
    for shift in (-MARGIN, MARGIN) if section in SHIFTED else ():
        Steady.shift = shift
        other = SECTIONS[section]()
        found += [name for name in answers if answers[name] != other[name]]
    Steady.shift = 0.0
    return found


if __name__ == "__main__":
    main()
