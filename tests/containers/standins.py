"""Base images made of Debian's packages, under the names that Dockerfile and compose file use.

For machines that reach Debian's packages and PyPI but no image registry. Label Studio is the one of this clone,
mounted into its container. They prove the Dockerfile and the compose file, not that the real images behave the same.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.containers.engine import run

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
EXCLUDED = ("man", "doc", "locale", "info")

REDIS = """
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends redis-server \
    && install -d -o redis -g redis /data
USER redis
WORKDIR /data
VOLUME /data
CMD ["redis-server"]
"""

# Like the real one: a user without a name, in root's group, who owns the data. Its home may be below /root.
LABEL_STUDIO = """
FROM {base}
RUN install -d -o 1001 -g 0 -m 775 /label-studio /label-studio/data && chmod 755 /root
USER 1001:0
ENV HOME=/label-studio LABEL_STUDIO_BASE_DATA_DIR=/label-studio/data LATEST_VERSION_CHECK=false
WORKDIR /label-studio
CMD ["{command}"]
"""


@contextlib.contextmanager
def standins(folder: Path, checkout: Path, label_studio: Path) -> Iterator[Path]:
    """Make the images that are missing; gives the compose file that has them built.

    Args:
        folder: for what is made on the way.
        checkout: the clone whose Dockerfile and compose file are tried.
        label_studio: the virtual environment of Label Studio.
    """
    base = re.findall(r"^FROM (\S+)$", (checkout / "Dockerfile").read_text(), re.M)[0]
    with _wheels() as address:
        _python(base, folder / "base.tar", address)
        override = folder / "standins.json"
        override.write_text(json.dumps({"services": _services(base, label_studio.resolve())}))
        yield override


def _services(base: str, label_studio: Path) -> dict[str, object]:
    command = label_studio / "bin" / "label-studio"
    prefix = run(label_studio / "bin/python", "-c", "import sys; print(sys.base_prefix)").strip()

    def inline(text: str) -> dict[str, str]:
        return {"dockerfile_inline": text.format(base=base, command=command).strip(), "network": "host"}

    clickmask = {"build": {"network": "host", "args": {"TORCH_INDEX": ""}}}
    return {
        "backend": clickmask,
        "worker": clickmask,
        "redis": {"build": inline(REDIS)},
        "label-studio": {
            "build": inline(LABEL_STUDIO),
            "volumes": [f"{path}:{path}:ro" for path in (str(label_studio), prefix)],
        },
    }


def _python(name: str, tar: Path, wheels: str) -> None:
    """Debian's Python in the place of the image `name`, set up to reach packages as this machine does."""
    suite = name.rpartition("-")[2]
    config = ["[global]", f"cert = {AUTHORITIES}", f"find-links = {wheels}", "trusted-host = 127.0.0.1"]
    index = _pip("index-url")
    config += [f"index-url = {index}"] if index else []
    hooks = [
        'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED; ln -s python3 "$1"/usr/bin/python',
        f'cp {AUTHORITIES} "$1"{AUTHORITIES}',
        f"printf '%s\\n' {' '.join(map(repr, config))} > \"$1\"/etc/pip.conf",
    ]
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED]
    run(
        "mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-pip,ca-certificates",
        '--aptopt=Acquire::Languages "none"', *excluded, *(f"--customize-hook={hook}" for hook in hooks),
        suite, tar,
    )  # fmt: skip
    run("docker", "import", tar, name)
    tar.unlink()


def _pip(option: str) -> str:
    """A setting of pip here, "" where it has none."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", f"global.{option}"], capture_output=True, text=True
    )
    return done.stdout.strip()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


@contextlib.contextmanager
def _wheels() -> Iterator[str]:
    """Serve the folders in which pip looks for wheels here on loopback, where builds find them; gives the address."""
    folders = [folder for folder in _pip("find-links").split() if Path(folder).is_dir()]
    handler = functools.partial(_Quiet, directory=folders[0] if folders else "/var/empty")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
