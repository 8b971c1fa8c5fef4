"""Finds out whose the masks are that a request shows, so that nobody's click changes what somebody else has drawn.

Label Studio sends every submitted annotation of a task along with a click, but not who clicks. Drafts are those of
who asks. Without a draft, a submitted mask is surely the asker's own only where there is nobody else. Where nobody
else is to annotate the task, a click that takes away can only mean the mask that is shown: there is nothing else to
take away from. What Label Studio knows of that is asked for in the background, and no click waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.drafts import SavedWork

logger = logging.getLogger(__name__)

AGE_S = 300.0  # of what was learned of a project
RETRY_S = 60.0  # after Label Studio did not tell


class Whose(Enum):
    """Whose the masks are that a request shows."""

    OWN = "the asker's"
    DISPLAYED = "somebody's, but those that the asker is looking at"
    UNKNOWN = "perhaps somebody else's"


@dataclass(frozen=True)
class ProjectFacts:
    """What Label Studio tells of a project: accounts that may annotate, and annotations that a task wants."""

    accounts: int
    wanted: int

    @property
    def shared(self) -> bool:
        """Whether several people annotate one task."""
        return self.accounts > 1 and self.wanted > 1


class Ownership:
    """Keeps what is known of projects.

    Args:
        client: of the Label Studio; asks nothing where it has no address or no token.
    """

    def __init__(self, client: LabelStudio) -> None:
        self._client = client
        self._known: dict[int, tuple[float, ProjectFacts | None]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="project-facts")

    def learn(self, project: int | None) -> None:
        """Have what Label Studio tells of a project asked for, unless that was done lately; returns at once."""
        if project is None or not self._client.configured:
            return
        with self._lock:
            due, facts = self._known.get(project, (0.0, None))
            if time.monotonic() < due:
                return
            self._known[project] = time.monotonic() + RETRY_S, facts
        self._pool.submit(self._ask, project)

    def of(self, project: int | None, saved: SavedWork) -> Whose:
        """Tell whose the masks are that a request for a task of this project shows."""
        if len({draft.user for draft in saved.drafts}) > 1:
            return Whose.UNKNOWN  # no Label Studio that was seen sends the drafts of others
        if saved.drafts or not saved.annotations:
            return Whose.OWN
        facts = self._facts(project)
        if facts is not None and facts.accounts == 1:
            return Whose.OWN
        authors = {annotation.author for annotation in saved.annotations if not annotation.cancelled}
        alone = len(authors) <= 1 and (facts is None or facts.wanted <= 1)
        return Whose.DISPLAYED if alone else Whose.UNKNOWN

    def nameless(self, project: int | None, saved: SavedWork) -> bool:
        """Tell whether what was answered a moment ago may be somebody else's, who works on the same task."""
        facts = None if saved.drafts else self._facts(project)
        return facts is not None and facts.shared

    def close(self) -> None:
        """End the background thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _facts(self, project: int | None) -> ProjectFacts | None:
        self.learn(project)
        return None if project is None else self._known.get(project, (0.0, None))[1]

    def _ask(self, project: int) -> None:
        try:
            wanted = int(self._client.project(project).get("maximum_annotations") or 1)
            facts = ProjectFacts(len(self._client.users()), wanted)
        except (LabelStudioError, TypeError, ValueError, AttributeError) as error:
            logger.info("project %s: who annotates it is not known: %s", project, error)
            return
        with self._lock:
            self._known[project] = time.monotonic() + AGE_S, facts
