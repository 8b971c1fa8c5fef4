"""What is said of a Label Studio by its version; tests/e2e has what needs a real one."""

import pytest

from backend.label_studio.client import LabelStudio
from backend.operations.doctor import WARN
from backend.operations.doctor.studio_checks import label_studio, untested
from backend.settings import Settings
from tests.backend.http_server import Web, answers


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.15.0", ""),
        ("1.23.2", ""),
        ("1.23.2.post0", ""),
        ("1.9.2", "update Label Studio"),
        ("1.24.0", "try a click"),
        ("2.0", "try a click"),
        ("unknown", "calls its version 'unknown'"),
    ],
)
def test_versions_that_are_not_tested_are_told(version: str, said: str) -> None:
    assert said in untested(version)
    assert bool(untested(version)) == bool(said)


def test_an_untested_version_is_a_warning() -> None:
    web = Web()
    web.routes["/api/version"] = answers(200, b'{"release": "1.30.0"}')
    web.routes["/api/current-user/whoami"] = answers(200, b'{"email": "ann@example.com"}')
    settings = Settings(label_studio_url=web.url, label_studio_api_key="a" * 40)
    found = list(label_studio(settings, LabelStudio(settings)))
    web.close()
    assert [(f.level, f.subject) for f in found if f.level != "OK"] == [(WARN, "version")]
