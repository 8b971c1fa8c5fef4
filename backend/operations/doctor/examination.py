"""Looks at everything that a click needs, in the order in which it is needed.

Every check gives findings with the fix in the same line; a check whose ground is missing is left out, so that the
first FAIL is the one to mend.
"""

from __future__ import annotations

from dataclasses import replace

from backend.label_studio.client import LabelStudio
from backend.operations.doctor import installation_checks, project_checks, studio_checks
from backend.operations.doctor.finding import FAIL, Finding, Findings
from backend.settings import Settings
from backend.settings.masking import mask
from model.errors import ClickmaskError


def examine(settings: Settings, project: int | None = None, url: str | None = None) -> Findings:
    """Yield the findings of all checks.

    Args:
        project: also look at this Label Studio project.
        url: the backend's address; by default the one in the settings.
    """
    secrets = settings.secrets()
    for finding in _findings(settings, project, (url or settings.public_url).rstrip("/")):
        yield replace(finding, text=mask(finding.text, secrets))


def _findings(settings: Settings, project: int | None, url: str) -> Findings:
    yield from _guarded("model", installation_checks.model(settings))
    yield from _guarded("redis", installation_checks.redis(settings))
    yield from _guarded("backend", installation_checks.backend(settings, url))
    client = LabelStudio(settings)
    studio = list(_guarded("label studio", studio_checks.label_studio(settings, client)))
    yield from studio
    if project is not None and not any(finding.level == FAIL for finding in studio):
        yield from _guarded("project", project_checks.project(settings, client, project, url))


def _guarded(subject: str, check: Findings) -> Findings:
    """Turn an error that a check did not expect into a finding, so that the others are still made."""
    try:
        yield from check
    except (ClickmaskError, OSError) as error:
        yield Finding(FAIL, subject, str(error))
