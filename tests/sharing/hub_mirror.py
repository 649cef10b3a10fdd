# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A hub on this machine: folders, served as ``huggingface_hub`` asks for repositories of models."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: The only commit of every repository, and its tag.
COMMIT, TAG = "0123456789abcdef0123456789abcdef01234567", "0.1.0"


@contextmanager
def hub_mirror(repositories: dict[str, Path]) -> Iterator[str]:
    """
    Serve folders as long as the block runs.

    Args:
        repositories: ORG/NAME → folder.

    Yields:
        the address, for ``HF_ENDPOINT``.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:  # noqa: N802 - the name that http.server calls
            self.do_GET()

        def do_GET(self) -> None:  # noqa: N802
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            api = parts[:2] == ["api", "models"]
            org, name, *rest = parts[2:] if api else parts
            root = repositories.get(f"{org}/{name}")
            if root is None:
                self.fail("RepoNotFound")
            elif rest[1:2] and rest[1] not in ("main", TAG, COMMIT):
                self.fail("RevisionNotFound")
            elif not api:
                self.give(root / "/".join(rest[2:]))
            elif rest[:1] == ["refs"]:
                self.answer({"branches": [ref("heads", "main")], "tags": [ref("tags", TAG)], "converts": []})
            elif rest[:1] == ["tree"]:
                self.answer([entry | {"path": path} for path, entry in files(root).items()])
            else:
                siblings = [{"rfilename": path} for path in files(root)]
                self.answer({"id": f"{org}/{name}", "modelId": name, "sha": COMMIT, "siblings": siblings})

        def fail(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self, content: object) -> None:
            self.body(json.dumps(content).encode(), {"Content-Type": "application/json"})

        def give(self, place: Path) -> None:
            content = place.read_bytes()
            self.body(content, {"ETag": f'"{digest(content)}"', "X-Repo-Commit": COMMIT})

        def body(self, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for key, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ref(kind: str, name: str) -> dict[str, str]:
    return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": COMMIT}


def files(root: Path) -> dict[str, dict]:
    """Every file of a repository, as a listing of the hub has it."""
    places = sorted(place for place in root.rglob("*") if place.is_file())
    contents = {place.relative_to(root).as_posix(): place.read_bytes() for place in places}
    return {name: {"type": "file", "oid": digest(data), "size": len(data)} for name, data in contents.items()}


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
