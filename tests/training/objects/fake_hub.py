"""A local server that answers as the Hugging Face hub does for a dataset or a model, and fails on purpose.

It knows what huggingface_hub asks for: the facts of files (POST paths-info), a file's head and body behind a redirect
to another address, in parts where a Range is asked for.
"""

import hashlib
import json
import threading
import urllib.parse
from collections import Counter, defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0" * 39 + "1"
STALL_SECONDS = 30.0
REFUSALS = {"gated": (403, "GatedRepo"), "gone": (404, "RepoNotFound")}


class FakeHub:
    """Serves `files` (path -> bytes). faults[path]: what happens at the next requests for that file's body, in turn:
    "503", "cut" (half of the body, then the connection ends), "stall" (half, then nothing), "wrong" (other bytes).

    head_faults[path]: the same for its head: "503", "plain" (as a server answers that is no hub), "gated", "gone" (no such
    repository), "longer" (it tells of one byte more than there is), "huge" (of 10^15). kind: "datasets/", or "" for models.
    moved_from: what the repository was called, which leads to it.
    bodies counts the requests for each body; ranges holds (path, first byte) of those for a part.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        repository: str = "allenai/objaverse",
        kind: str = "datasets/",
        moved_from: str = "",
    ) -> None:
        self.files = files
        self.faults: dict[str, deque[str]] = defaultdict(deque)
        self.head_faults: dict[str, deque[str]] = defaultdict(deque)
        self.bodies: Counter[str] = Counter()
        self.ranges: list[tuple[str, int]] = []
        self.list_faults: deque[str] = deque()  # at the next requests for facts: "503", "stall"
        self.stalls = threading.Event()
        self._api = f"/api/datasets/{repository}/paths-info/main"
        self._resolve = f"/{kind}{repository}/resolve/main/"
        self._moved_from = f"/{kind}{moved_from}/resolve/main/" if moved_from else None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                hub._list(self)

            def do_HEAD(self) -> None:
                hub._head(self)

            def do_GET(self) -> None:
                hub._body(self)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._storage = f"http://localhost:{self._server.server_port}/storage/"  # another host, as a CDN is

    def __enter__(self) -> "FakeHub":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stalls.set()
        self._server.shutdown()
        self._server.server_close()

    def _list(self, request: BaseHTTPRequestHandler) -> None:
        form = urllib.parse.parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
        fault = self.list_faults.popleft() if self.list_faults else None
        if fault == "stall":
            self.stalls.wait(STALL_SECONDS)
        if fault or request.path != self._api:
            return _answer(request, 503 if fault else 404)
        entries = [
            {
                "type": "file",
                "path": path,
                "size": len(self.files[path]),
                "oid": "1" * 40,
                "lfs": {"size": len(self.files[path]), "oid": _sha256(self.files[path]), "pointerSize": 130},
            }
            for path in form["paths"]
            if path in self.files
        ]
        return _answer(request, 200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

    def _head(self, request: BaseHTTPRequestHandler) -> None:
        if self._moved_from and request.path.startswith(self._moved_from):
            name = request.path.removeprefix(self._moved_from)
            return _answer(request, 307, headers={"Location": self._resolve + name})
        path = urllib.parse.unquote(request.path.removeprefix(self._resolve))
        if path not in self.files:
            return _answer(request, 404, headers={"X-Repo-Commit": COMMIT, "X-Error-Code": "EntryNotFound"})
        fault = self.head_faults[path].popleft() if self.head_faults[path] else None
        if fault in REFUSALS:
            status, code = REFUSALS[fault]
            return _answer(request, status, headers={"X-Error-Code": code})
        if fault in ("503", "plain"):
            return _answer(request, 503 if fault == "503" else 200)
        content = self.files[path]
        size = 10**15 if fault == "huge" else len(content) + (fault == "longer")
        headers = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{_sha256(content)}"',
            "X-Linked-Size": str(size),
            "Location": self._storage + urllib.parse.quote(path),
        }
        return _answer(request, 302, headers=headers)

    def _body(self, request: BaseHTTPRequestHandler) -> None:
        path = urllib.parse.unquote(request.path.removeprefix("/storage/"))
        if path not in self.files:
            return _answer(request, 404)
        content = self.files[path]
        self.bodies[path] += 1
        fault = self.faults[path].popleft() if self.faults[path] else None
        if fault == "503":
            return _answer(request, 503)
        if fault == "wrong":
            content = bytes(byte ^ 1 for byte in content)
        start = 0
        if part := request.headers.get("Range"):
            start = int(part.removeprefix("bytes=").split("-")[0])
            self.ranges.append((path, start))
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if part else {}
        if fault not in ("cut", "stall"):
            return _answer(request, 206 if part else 200, content[start:], headers)
        request.send_response(206 if part else 200)
        for name, value in {**headers, "Content-Length": str(len(content) - start)}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content[start : (start + len(content)) // 2])
        request.wfile.flush()
        if fault == "stall":
            self.stalls.wait(STALL_SECONDS)
        request.close_connection = True
        return None


def _answer(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    request.send_response(status)
    for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
