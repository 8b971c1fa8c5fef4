"""A real HTTP server on loopback whose answers a test writes as functions."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


class Web:
    """Serves `routes`: path without query -> function(handler) that sends the answer. Records requests.

    `otherwise` answers every other path; it says 404 unless a test replaces it.
    """

    def __init__(self, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.routes: dict[str, Answer] = {}
        self.otherwise: Answer = answers(404, b"nothing here")
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.command, self.path, dict(self.headers)))
                outer.routes.get(self.path.split("?")[0], outer.otherwise)(self)

            do_HEAD = do_POST = do_PATCH = do_DELETE = do_GET

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients that hang up are what some tests are about."""

        self._server = Server((address, port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        host = f"[{address}]" if ":" in address else address
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.requests]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def send_json(handler: BaseHTTPRequestHandler, value: Any) -> None:
    """Answer with JSON."""
    send(handler, 200, json.dumps(value).encode())


def body_of(handler: BaseHTTPRequestHandler) -> Any:
    """The JSON that was sent."""
    return json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))


def answers(status: int, body: bytes, **headers: str) -> Answer:
    """A function that sends this answer."""
    return lambda handler: send(handler, status, body, **headers)


def answers_json(value: Any) -> Answer:
    """A function that answers with JSON."""
    return lambda handler: send_json(handler, value)
