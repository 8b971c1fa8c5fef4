"""Which model version answers for which project, loaded in the background and exchanged without a pause.

A project is served by its own line once that has a promoted version, else by ``base``. One thread loads models and
watches the pointers of the lines in use; requests only ever take what is loaded. A version that cannot be loaded
never replaces one that could: one whose files are damaged is left alone until they change, one that a disk or a
device failed for is tried again, after a pause that grows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from backend.serving.loader import LoadedModel
from backend.serving.pointers import Pointers
from backend.serving.recent_lines import RecentLines
from model.errors import ClickmaskError
from model.versions import checkpoint
from model.versions.registry import BASE, Registry, Version

logger = logging.getLogger(__name__)

POLL_S = 1.0
LONGEST_PAUSE_S = 300.0  # before a version that could not be loaded is tried again
OTHERS = 4  # lines looked after at each poll, beside those loaded or being loaded: an object store is asked for each


class NotReady(ClickmaskError, RuntimeError):
    """There is no model yet; the message says why."""


class ModelPool:
    """Keeps the models of this process.

    Args:
        registry: where versions and pointers are.
        loader: `backend.serving.loader.Loader`.
        limit: models kept loaded; ``base`` is never given up.
        changed: called with (version, device, loaded or not) when a model comes or goes.
    """

    def __init__(
        self,
        registry: Registry,
        loader: Callable[[Version], LoadedModel],
        limit: int,
        changed: Callable[[str, str, bool], None] = lambda *_: None,
    ) -> None:
        self._registry, self._loader, self._limit, self._changed = registry, loader, limit, changed
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._wanted: set[str] = {BASE}
        self._problems: dict[str, str] = {}
        # version -> how often it could not be loaded, when it is tried again, and with which files it is at once
        self._failed: dict[str, tuple[int, float, checkpoint.Stamp]] = {}
        self._recent = RecentLines()
        self._by_base: set[str] = set()  # of them, those without a promoted version when last looked at
        self._evicted: set[str] = set()  # lines whose own model had to make room for others
        self._pointers = Pointers(registry)
        self._news = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._watch, name="model-loader", daemon=True)

    def start(self) -> None:
        """Begin to load and to watch, in the background; where there is no base version yet, install it first."""
        self._install()
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the background thread; what is loaded stays usable.

        It is waited for: an interpreter that ends while a daemon thread is inside native code aborts.
        """
        with self._news:
            self._stopped = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def line_of(self, project: int | None) -> str:
        """Return the line that serves a project, as soon as it is loaded."""
        line = f"project-{project}"
        if project is None:
            return BASE
        own = self._pointers.current(line, POLL_S) is not None
        with self._news:
            self._recent.add(line)
            if not own:
                self._by_base.add(line)
        return line if own else BASE

    def take(self, project: int | None, timeout_s: float) -> LoadedModel:
        """Return the model of a project, waiting for one that is being loaded.

        Raises:
            NotReady: there is none within ``timeout_s``.
        """
        line, end = self.line_of(project), time.monotonic() + timeout_s
        with self._news:
            self._want(line)
            while (line := self._answering(line)) not in self._loaded:
                if line in self._problems and line == BASE:
                    raise NotReady(self._problems[line])
                if not self._news.wait(end - time.monotonic()):
                    raise NotReady("the model is still loading")
            self._loaded.move_to_end(line)
            return self._loaded[line]

    def own(self, project: int | None, timeout_s: float) -> LoadedModel | None:
        """Return a project's own model, waiting for one that is being loaded.

        None where it has none, or where that is not loaded within ``timeout_s``.
        """
        line, end = self.line_of(project), time.monotonic() + timeout_s
        if line == BASE:
            return None
        with self._news:
            self._want(line)
            while line not in self._loaded:
                if line in self._problems or not self._news.wait(end - time.monotonic()):
                    return None
            self._loaded.move_to_end(line)
            return self._loaded[line]

    def prepare(self, project: int | None) -> None:
        """Have the model of a project loaded soon; returns at once."""
        line = self.line_of(project)
        with self._news:
            self._want(line)

    def version_of(self, project: int | None) -> str:
        """Return the name of the version that serves a project, "" where there is none; never waits.

        After a restart it is the project's own while that is being loaded, although base answers meanwhile: what
        Label Studio keeps of a version's name must not change with every restart.
        """
        line = self.line_of(project)
        with self._news:
            if line not in self._loaded and (line in self._problems or line in self._by_base):
                line = self._answering(line)
            served = self._loaded.get(line)
        if served is not None:
            return served.version
        current = self._pointers.current(line, POLL_S)
        return current.name if current is not None else ""

    def loaded(self) -> dict[str, LoadedModel]:
        """Return what is loaded, by line."""
        with self._news:
            return dict(self._loaded)

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by line; a line with a problem may be served by an earlier version."""
        with self._news:
            return dict(self._problems)

    def _answering(self, line: str) -> str:
        """Return the line that answers in place of one, itself included; the lock is held.

        ``base`` answers until the project's own model is loaded, and where that cannot be loaded. A model that had
        to make room for others is waited for: it has answered before, in the middle of an object perhaps.
        """
        if line in self._loaded:
            return line
        stands_in = BASE in self._loaded and line not in self._evicted
        return BASE if stands_in or line in self._problems else line

    def _want(self, line: str) -> None:
        """Have a line loaded, unless it is, or will be in its turn; the lock is held."""
        if line not in self._loaded and line not in self._wanted:
            self._wanted.add(line)
            self._news.notify_all()

    def _watch(self) -> None:
        while not self._stopped:
            with self._news:
                lines = {BASE, *self._loaded, *self._wanted.difference(self._problems)}
                others = self._recent.due(OTHERS, lines)
                self._by_base = {line for line in self._by_base if line in self._recent}
            for line in (*sorted(lines), *others):  # "base" sorts before "project-..."
                try:
                    known = line in lines or line in self._wanted
                    (self._refresh if known else self._registry.refresh)(line)
                except OSError as error:
                    self._report(line, _unusable(error))
                except Exception as error:
                    # The thread must outlive whatever a disk or a driver comes up with.
                    self._report(line, f"{type(error).__name__}: {error}")
            with self._news:
                if not self._stopped and self._wanted <= set(self._loaded) | set(self._problems):
                    self._news.wait(POLL_S)

    def _install(self) -> None:
        """Install the base version: at start, not in the background, so that what is served has a name at once."""
        try:
            self._registry.ensure_base()
        except OSError as error:
            self._report(BASE, _unusable(error))
        except ValueError as error:
            self._report(BASE, f"the default model cannot be installed: {error}")

    def _refresh(self, line: str) -> None:
        """Make the line's current version the one that is served, if it can be loaded."""
        trouble = self._registry.refresh(line)
        current, served = self._registry.current(line), self._loaded.get(line)
        if current is None:
            if line != BASE:
                self._drop(line)
            elif trouble:
                self._report(line, trouble)
            else:
                self._install()
            return
        if served is not None and served.version == current.name:
            self._settle(line, trouble)
            return
        # Without anything loaded an earlier version is better than none.
        earlier = [] if served else [v for v in self._registry.versions(line) if v.name != current.name]
        problem = self._serve_first(line, [current, *reversed(earlier)])
        if problem:
            self._report(line, problem)
        elif current.name not in self._failed:
            self._settle(line, trouble)

    def _serve_first(self, line: str, versions: list[Version]) -> str:
        """Serve the first of some versions that can be loaded; return what is wrong with one before it, or ""."""
        problem = ""
        for version in versions:
            stamp = checkpoint.stamp(version.path)
            failures, due, tried = self._failed.get(version.name, (0, 0.0, stamp))
            if time.monotonic() < due and tried == stamp:
                continue
            pause = min(POLL_S * 2.0**failures, LONGEST_PAUSE_S)
            try:
                self._serve(line, self._loader(version))
                self._failed.pop(version.name, None)
                break
            except ValueError as error:
                pause = LONGEST_PAUSE_S  # the base version that it falls back to may be what is damaged
                problem = problem or f"{version.name} cannot be loaded: {error}"
            except Exception as error:  # of a disk, a driver, a lack of memory: it may pass
                sentence = error if isinstance(error, ClickmaskError) else f"{type(error).__name__}: {error}"
                problem = problem or f"{version.name} cannot be loaded now: {sentence}"
            self._failed[version.name] = failures + 1, time.monotonic() + pause, stamp
        return problem

    def _serve(self, line: str, served: LoadedModel) -> None:
        with self._news:
            before = self._loaded.get(line)
            self._loaded[line] = served
            self._wanted.discard(line)
            self._by_base.discard(line)
            self._evicted.discard(line)
            while len(self._loaded) > self._limit:
                oldest = next((name for name in self._loaded if name not in (BASE, line)), None)
                if oldest is None:
                    break
                gone = self._loaded.pop(oldest)
                self._evicted.add(oldest)
                self._changed(gone.version, gone.device, False)
            if before is not None:
                self._changed(before.version, before.device, False)
            self._changed(served.version, served.device, True)  # before anybody is answered by it
            self._news.notify_all()
        logger.info("line %s is served by %s on %s", line, served.version, served.device)

    def _drop(self, line: str) -> None:
        with self._news:
            self._wanted.discard(line)
            self._by_base.add(line)
            self._evicted.discard(line)
            gone = self._loaded.pop(line, None)
            self._news.notify_all()  # who waits for it is answered by base
        if gone is not None:
            self._changed(gone.version, gone.device, False)

    def _report(self, line: str, problem: str) -> None:
        with self._news:
            known = self._problems.get(line) == problem
            self._problems[line] = problem
            self._news.notify_all()
        if not known:
            logger.error("line %s: %s", line, problem)

    def _settle(self, line: str, trouble: str = "") -> None:
        if trouble:
            self._report(line, trouble)
            return
        with self._news:
            self._problems.pop(line, None)


def _unusable(error: OSError) -> str:
    place = error.filename or "a file of it"
    return f"{place} cannot be used ({error.strerror or error}): look at CLICKMASK_HOME"
