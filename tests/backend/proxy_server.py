"""A forward proxy on loopback: takes absolute addresses and CONNECT, and leads every name to one server."""

from __future__ import annotations

import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Proxy:
    """Records request lines in `asked` and credentials in `accounts`.

    Args:
        port: on loopback, of the server that every name leads to.
    """

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self.accounts: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._note(self)
                parts = urlsplit(self.path)
                upstream = HTTPConnection("127.0.0.1", port, timeout=10)
                path = parts.path + (f"?{parts.query}" if parts.query else "")
                upstream.request(self.command, path, headers={**dict(self.headers), "Host": parts.netloc})
                answer = upstream.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def do_CONNECT(self) -> None:
                outer._note(self)
                self.send_response(200)
                self.end_headers()
                with socket.create_connection(("127.0.0.1", port)) as upstream:
                    back = threading.Thread(target=_pump, args=(upstream, self.connection), daemon=True)
                    back.start()
                    _pump(self.connection, upstream)
                    back.join(5)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _note(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(f"{handler.command} {handler.path}")
        self.accounts.append(handler.headers.get("Proxy-Authorization"))


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
