"""What a command says when it cannot do what it was asked for: one sentence, without secrets, and never a traceback.

Exit status: 1 for everything here; click itself ends with 2 where the command line is wrong.
"""

from __future__ import annotations

import errno
import sys
import traceback
from types import TracebackType

from backend.settings import Settings, SettingsError
from backend.settings.masking import mask

# What can be done about an error of the operating system. Others are told as they are.
_FIXES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EROFS: "name a folder that can be written (CLICKMASK_HOME; TMPDIR for temporary files)",
    errno.EACCES: "give this user access, or name another place (CLICKMASK_HOME; TMPDIR for temporary files)",
    errno.EPERM: "give this user access, or name another place (CLICKMASK_HOME; TMPDIR for temporary files)",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "check the path",
    errno.EADDRINUSE: "stop the program that listens there, or choose another port",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def sentence(error: Exception) -> str:
    """Return what is wrong, where, and what to do, for a `ClickmaskError` or an error of the operating system."""
    if isinstance(error, MemoryError):
        return "there is not enough memory: end other programs, or give this machine or container more"
    return mask(_explained(error) if isinstance(error, OSError) else str(error), secrets())


def print_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an error that nobody foresaw, without secrets; for `sys.excepthook`."""
    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(mask(text, secrets()))


def _explained(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    if "No usable temporary directory" in what:
        return "there is no folder for temporary files: set TMPDIR to one that can be written"
    place = f"{error.filename}: " if error.filename is not None else ""
    fix = _FIXES.get(error.errno or 0)
    return f"{place}{what}" + (f": {fix}" if fix else "")


def secrets() -> tuple[str, ...]:
    """Return what must not be printed; nothing where the settings cannot be read."""
    try:
        return Settings.from_env().secrets()
    except SettingsError:
        return ()
