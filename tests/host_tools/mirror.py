"""A web server on this machine, for what commands fetch."""

from __future__ import annotations

import http.server
import threading


class Mirror(http.server.ThreadingHTTPServer):
    """Answers GET with what `content` has at that moment: path with query -> bytes; else 404."""

    def __init__(self, content: dict[str, bytes]) -> None:
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = content.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args: object) -> None:
                return

        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"
