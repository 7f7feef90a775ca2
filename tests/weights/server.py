"""A file server on 127.0.0.1 that understands ranges, and that misbehaves when told to."""

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Server(ThreadingHTTPServer):
    """Serves `files`; the next requests do what `plans` says.

    Attributes:
      files: path -> bytes.
      plans: for each of the next requests, what to do: {"stop": bytes to send before hanging up},
        {"status": code}, {"type": content type} or {}.
      requests: (path, its Range or None) of each request.
      ranges: whether ranges are understood.
      tags: whether an ETag is sent.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.plans: list[dict] = []
        self.requests: list[tuple[str, str | None]] = []
        self.ranges = self.tags = True

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path, wanted = urlsplit(self.path).path.lstrip("/"), self.headers["Range"]
        self.server.requests.append((path, wanted))
        plan = self.server.plans.pop(0) if self.server.plans else {}
        if path not in self.server.files or "status" in plan:
            self.send_error(plan.get("status", 404))
            return
        data = self.server.files[path]
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        start = 0
        if wanted and self.server.ranges and self.headers.get("If-Range", tag) == tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Content-Type", plan.get("type", "application/octet-stream"))
        if self.server.tags:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(data[start : plan.get("stop", len(data))])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving():
    """Yields a running server."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
