"""A model hub on this machine: the few answers that `huggingface_hub` needs to download a repository at a revision."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def hub(repositories: Mapping[tuple[str, str], Mapping[str, Mapping[str, bytes]]]) -> Iterator[tuple[str, list[str]]]:
    """Serve (kind, repo) -> revision -> file -> content; yields (address, paths asked). kind: models or datasets."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _found(self) -> tuple[bytes, dict[str, str]] | None:
            path = self.path.partition("?")[0]
            asked.append(path)
            for (kind, repo), revisions in repositories.items():
                for revision, files in revisions.items():
                    if path in (f"/api/{kind}/{repo}/revision/{revision}", f"/api/{kind}/{repo}/tree/{revision}"):
                        listed = [
                            {"rfilename": name, "path": name, "type": "file", "size": len(content), "oid": "0"}
                            for name, content in files.items()
                        ]
                        info = {"id": repo, "sha": revision, "siblings": listed, "tags": [], "private": False}
                        answer = listed if "/tree/" in path else info
                        return json.dumps(answer).encode(), {"Content-Type": "application/json"}
                    prefix = f"/{'datasets/' if kind == 'datasets' else ''}{repo}/resolve/{revision}/"
                    name = path.removeprefix(prefix)
                    if path.startswith(prefix) and name in files:
                        tag = hashlib.sha1(files[name]).hexdigest()
                        return files[name], {"ETag": f'"{tag}"', "X-Repo-Commit": revision}
            return None

        def _answer(self, *, body: bool) -> None:
            found = self._found()
            if found is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "RevisionNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content, headers = found
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
