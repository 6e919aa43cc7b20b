"""A page on this machine: draw or drop a picture, and see what a trained variant makes of it.

It answers on 127.0.0.1 alone, to its own page alone (a Host or an Origin of another name is refused, which keeps other
sites' pages out), takes pictures of a limited size and nothing else, and asks no other address.
"""

from __future__ import annotations

import base64
import io
import json
import secrets
import socket
import sys
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Lock, Timer
from typing import Any

import numpy as np
from PIL import Image

from replica.commands.predict.predict import FORMATS, Predictor
from replica.common.errors import UserError
from replica.datasets import pictures
from replica.datasets.mirrors import BadFileError
from replica.report.environment import environment

ADDRESS = "127.0.0.1"
LARGEST = 20 * 2**20  # bytes of a picture
PATIENCE = 10.0  # seconds that a request may take to arrive, all of it
TURN = 30.0  # seconds that it may wait for those before it
VISITORS = 16  # at once, each with a thread and at most a picture's bytes; a browser opens six connections
MAPS = 64  # of a layer


def png(values: np.ndarray) -> str:
    """An image uint8 [height, width] or [height, width, 1 or 3] as a data URI."""
    content = io.BytesIO()
    Image.fromarray(values[..., 0] if values.shape[-1] == 1 and values.ndim == 3 else values).save(content, "png")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def grey(maps: np.ndarray) -> np.ndarray:
    """A layer's outputs as bytes: its smallest value black, its largest white."""
    low, high = float(maps.min()), float(maps.max())
    return ((maps - low) * (255 / ((high - low) or 1))).astype(np.uint8)


class Page(ThreadingHTTPServer):
    """The server of one variant's page: each request has a thread, and pictures are decoded and answered in turn."""

    daemon_threads = True

    def __init__(self, predictor: Predictor, port: int) -> None:
        super().__init__((ADDRESS, port), Handler)
        self.predictor, self.lock, self.nonce = predictor, Lock(), secrets.token_urlsafe(16)
        self.places = BoundedSemaphore(VISITORS)
        names = (ADDRESS, "localhost")
        self.hosts = {f"{name}:{self.server_port}" for name in names} | set(names if self.server_port == 80 else ())
        self.html = (
            environment(Path(__file__).parent)
            .get_template("serve.html")
            .render(predictor=predictor, nonce=self.nonce, drawn=predictor.shape == [28, 28, 1], largest=LARGEST)
        )

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for a visitor; one more than there are places for is shut out."""
        if self.places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor who goes away or never finishes is no error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"

    def answer(self, content: bytes) -> dict[str, Any]:
        """What the page shows of a picture: the image the network saw, the classes' probabilities, feature maps.

        Raises
        ------
        BadFileError
            Where it is no picture, or there is nothing on it.
        UserError
            Where the network's outputs are no numbers.
        TimeoutError
            Where its turn does not come.
        """
        if not self.lock.acquire(timeout=TURN):
            raise TimeoutError
        try:
            picture = pictures.read(io.BytesIO(content), "the file", FORMATS, self.predictor.enough)
            image = self.predictor.see(picture)
            del picture
            p = self.predictor.probabilities(image[None])[0]
            layers = [(name, grey(maps[:MAPS])) for name, maps in self.predictor.maps(image)]
        finally:
            self.lock.release()
        return {
            "seen": png(image),
            "probabilities": p.round(6).tolist(),
            "layers": [{"name": name, "maps": [png(each) for each in maps]} for name, maps in layers],
        }


class Handler(BaseHTTPRequestHandler):
    """GET / is the page, POST /predict takes a picture; anything else is refused."""

    server: Page
    timeout = PATIENCE

    def setup(self) -> None:
        super().setup()
        # The socket's own time limit begins anew with each byte.
        self.deadline = Timer(self.timeout, self.expire)
        self.deadline.daemon = True
        self.deadline.start()

    def expire(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)

    def finish(self) -> None:
        self.deadline.cancel()
        super().finish()

    def do_GET(self) -> None:
        if not self.allowed():
            return
        if self.path != "/":
            self.refuse(HTTPStatus.NOT_FOUND, "no such page")
        else:
            self.reply(HTTPStatus.OK, "text/html; charset=utf-8", self.server.html.encode())

    def do_POST(self) -> None:
        if not self.allowed():
            return
        length = self.headers.get("Content-Length", "")
        if self.path != "/predict":
            self.refuse(HTTPStatus.NOT_FOUND, "no such page")
        elif not self.headers.get_content_type().startswith("image/"):
            self.refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no picture")
        elif not (length.isascii() and length.isdecimal()):
            self.refuse(HTTPStatus.LENGTH_REQUIRED, "a picture without its length")
        elif int(length) > LARGEST:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a file of more than {LARGEST // 2**20} MB")
        elif len(content := self.rfile.read(int(length))) == int(length):
            self.deadline.cancel()
            try:
                answer = self.server.answer(content)
            except BadFileError as error:
                self.refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
            except UserError as error:
                self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
            except TimeoutError:
                self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "busy with other pictures; try again")
            else:
                self.reply(HTTPStatus.OK, "application/json", json.dumps(answer).encode())

    def allowed(self) -> bool:
        """Whether the request comes from the page itself; it is refused otherwise."""
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in self.server.hosts and (
            origin is None or origin.removeprefix("http://") in self.server.hosts
        ):
            return True
        self.refuse(HTTPStatus.FORBIDDEN, "this page answers to its own address alone")
        return False

    def refuse(self, status: HTTPStatus, line: str) -> None:
        self.reply(status, "application/json", json.dumps({"error": line}).encode())

    def reply(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        nonce = f"'nonce-{self.server.nonce}'"
        policy = f"default-src 'none'; script-src {nonce}; style-src {nonce}; img-src data: blob:; connect-src 'self'"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header(
            "Content-Security-Policy", f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def serve(name: str, port: int) -> None:
    """Answer until Ctrl-C.

    Raises
    ------
    UserError
        Where the variant cannot answer, or the port is taken.
    """
    predictor = Predictor(name)
    try:
        page = Page(predictor, port)
    except OSError as error:
        raise UserError(f"replica serve: port {port}: {error.strerror}; --port 0 takes a free one") from None
    with page:
        predictor.load()
        print(f"{name} answers at {page.url}   Ctrl-C ends it", flush=True)
        try:
            page.serve_forever()
        except KeyboardInterrupt:
            print()
