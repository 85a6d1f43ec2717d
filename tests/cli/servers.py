"""An app that answers what a test says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ACCEPTED: "Answer" = (202, {"id": "req-1", "state": "requested"}, {})
type Answer = tuple[int, Any, dict[str, str]] | None


@dataclass
class Server:
    """An HTTP server on a real socket; what it answers, the test says: ``None`` hangs up."""

    answers: list[Answer] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    """What came with those that had one."""
    url: str = ""

    def once_keys(self) -> list[str]:
        """Return the idempotency keys that came."""
        return [headers.get("Idempotency-Key", "") for _, _, headers in self.seen]


@contextmanager
def serving() -> Iterator[Server]:
    """Serve until the end of the block."""
    mine = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            if content := self.rfile.read(int(self.headers.get("Content-Length", 0))):
                mine.bodies.append(json.loads(content))
            mine.seen.append((self.command, self.path, dict(self.headers.items())))
            answer = mine.answers.pop(0)
            if answer is None:
                self.close_connection = True
                self.connection.close()
                return
            status, body, headers = answer
            content = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_CONNECT = _answer  # noqa: N815 - its names

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # How often it looks whether it is to end: every test waits for that.
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    mine.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    yield mine
    httpd.shutdown()
    httpd.server_close()
    thread.join()
