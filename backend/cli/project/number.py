"""A project's number on the command line, which may be mistyped."""

from __future__ import annotations

from http import HTTPStatus

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.settings import Settings


def refuse_unknown(project: int, settings: Settings) -> None:
    """Refuse a project that Label Studio does not have before a job is queued for it, which would fail unseen.

    A Label Studio that cannot be asked from here may well answer the worker, and refuses nothing.

    Raises:
        LabelStudioError: it answers, and has no such project.
    """
    try:
        LabelStudio(settings).project(project)
    except LabelStudioError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
