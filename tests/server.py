"""A mirror on the loopback interface that serves as it is told: well, or as badly as networks do."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Mirror:
    """Serves `files` at `url`; `asked` lists the paths it was asked for.

    `manners` says how it answers the first request, the second, …, the last one for all that follow: "well", "cut"
    (less than it announced), "stall" (headers, then nothing), "drip" (a byte at a time), "drip head" (its headers so),
    "corrupt" (a byte is another), "drop" (no answer at all), "404", "500", or an address to redirect to.
    """

    def __init__(self, files: dict[str, bytes], *manners: str) -> None:
        self.files, self.manners, self.asked = files, list(manners or ("well",)), list[str]()
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def handler(mirror) -> type[BaseHTTPRequestHandler]:  # noqa: N805  (its handler has the name self)
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path[1:])
                manner = mirror.manners.pop(0) if len(mirror.manners) > 1 else mirror.manners[0]
                content = mirror.files.get(self.path[1:])
                if manner == "drop":
                    self.close_connection = True
                elif manner.startswith("http"):
                    self.send_response(302)
                    self.send_header("Location", manner + self.path[1:])
                    self.end_headers()
                elif manner.isdigit() or content is None:
                    self.send_error(int(manner) if manner.isdigit() else 404)
                else:
                    self.answer(content, manner)

            def answer(self, content: bytes, manner: str) -> None:
                middle = len(content) // 2
                if manner == "drip head":
                    self.drip(b"HTTP/1.1 200 OK\r\nX: " + bytes(1000))
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if manner == "stall":
                    mirror.closing.wait(5)
                elif manner == "drip":
                    self.drip(content)
                elif manner == "cut":
                    self.wfile.write(content[:middle])
                elif manner == "corrupt":
                    self.wfile.write(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
                else:
                    self.wfile.write(content)

            def drip(self, content: bytes) -> None:
                with contextlib.suppress(OSError):
                    for byte in content:
                        self.wfile.write(bytes([byte]))
                        if mirror.closing.wait(0.05):
                            break

            def log_message(self, *_: object) -> None:
                pass

        return Handler
