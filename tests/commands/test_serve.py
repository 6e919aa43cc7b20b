"""The page that answers: over HTTP, and in a browser."""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import trained
from browser import ARGUMENTS, CHROMIUM
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from replica.commands.predict import digits, serve
from replica.commands.predict.predict import Predictor
from replica.common import arrays


@pytest.fixture(scope="module")
def project(copied_from):
    """A folder with trained variants, the working folder of this module."""
    with contextlib.chdir(folder := copied_from(trained.make)):
        yield folder


def answering(name: str):
    predictor = Predictor(name)
    predictor.load()
    yield from served(predictor)


def served(predictor: Predictor):
    page = serve.Page(predictor, 0)
    threading.Thread(target=page.serve_forever, args=(0.01,), daemon=True).start()
    yield page
    page.shutdown()
    page.server_close()


@pytest.fixture(scope="module")
def page(project):
    yield from answering("digits")


@pytest.fixture(scope="module")
def photos(project):
    yield from answering("photos")


@pytest.fixture(scope="module")
def many(page):
    """A page of more classes than it shows, the last the likeliest."""
    predictor = copy.copy(page.predictor)
    predictor.classes = list("abcdefghijklmnopqrst")
    predictor.probabilities = lambda images: np.arange(20)[None] / 190
    yield from served(predictor)


def png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "png")
    return content.getvalue()


def digit(number: int = 0) -> Image.Image:
    return Image.fromarray(arrays.load("mnist_5k").x_test[number, ..., 0])


def image_of(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


# Over HTTP


def ask(page: serve.Page, method: str, path: str, body: bytes | None = None, **headers: str):
    """Status, headers and body of the answer to one request."""
    connection = http.client.HTTPConnection(serve.ADDRESS, page.server_port, timeout=10)
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request(method, path, body, named)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, reply.headers, content


def test_a_picture_is_answered_with_what_was_seen_probabilities_and_maps(page):
    status, _, content = ask(page, "POST", "/predict", png(digit()), Content_Type="image/png")
    answer = json.loads(content)
    assert status == 200
    x = digits.normalize(digit())
    np.testing.assert_array_equal(image_of(answer["seen"]), x[..., 0])
    np.testing.assert_allclose(answer["probabilities"], page.predictor.probabilities(x[None])[0], atol=1e-5)
    assert [len(layer["maps"]) for layer in answer["layers"]] == [4, 6]
    shown = np.stack([image_of(uri) for uri in answer["layers"][0]["maps"]])
    (_, maps), *_ = page.predictor.maps(x)
    np.testing.assert_allclose(shown, maps / maps.max() * 255, atol=1)


def test_what_has_no_answer_is_a_line_of_json(page):
    specks = Image.new("L", (560, 560), 255)
    for place in ((40, 500), (500, 40)):
        specks.putpixel(place, 0)
    status, _, content = ask(page, "POST", "/predict", png(specks), Content_Type="image/png")
    assert (status, json.loads(content)) == (422, {"error": "one even colour, and no digit on it"})
    weights = page.predictor.model.get_weights()
    page.predictor.model.set_weights([each * np.nan for each in weights])
    try:
        status, _, content = ask(page, "POST", "/predict", png(digit()), Content_Type="image/png")
    finally:
        page.predictor.model.set_weights(weights)
    assert status == 500
    assert json.loads(content)["error"].startswith("digits: its outputs are no numbers")


def test_it_answers_on_this_machine_to_its_own_page_alone(page):
    assert page.server_address[0] == "127.0.0.1"
    own = f"127.0.0.1:{page.server_port}"
    assert ask(page, "GET", "/", Host=f"localhost:{page.server_port}")[0] == 200
    for host in ("example.org", f"example.org:{page.server_port}", "127.0.0.1:1", f"127.0.0.1:{page.server_port}@x"):
        assert ask(page, "GET", "/", Host=host)[0] == 403
        assert ask(page, "POST", "/predict", png(digit()), Host=host, Content_Type="image/png")[0] == 403
    for origin in ("http://example.org", f"https://{own}", "null"):
        assert ask(page, "POST", "/predict", png(digit()), Origin=origin, Content_Type="image/png")[0] == 403
    assert ask(page, "POST", "/predict", png(digit()), Origin=f"http://{own}", Content_Type="image/png")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "line"),
    [
        ("GET", "/predict", None, {}, 404, "no such page"),
        ("GET", "/../params.yaml", None, {}, 404, "no such page"),
        ("POST", "/", b"x", {"Content_Type": "image/png"}, 404, "no such page"),
        ("POST", "/predict", b"x", {"Content_Type": "text/plain"}, 415, "no picture"),
        ("POST", "/predict", b"x", {}, 415, "no picture"),
        ("POST", "/predict", b"", {"Content_Type": "image/png", "Content_Length": "-1"}, 411, "a picture without its"),
        ("POST", "/predict", b"", {"Content_Type": "image/png", "Content_Length": "99999999"}, 413, "a file of more"),
        ("POST", "/predict", b"x", {"Content_Type": "image/png"}, 422, "the file: no PNG, JPEG, GIF, BMP or WEBP"),
        ("POST", "/predict", png(Image.new("L", (9, 9))), {"Content_Type": "image/png"}, 422, "one even colour"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_one_line(page, method, path, body, headers, status, line):
    got, _, content = ask(page, method, path, body, **headers)
    assert got == status
    assert json.loads(content)["error"].startswith(line)


def test_the_page_may_load_nothing_from_anywhere(page):
    _, headers, content = ask(page, "GET", "/")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "http" not in policy and "unsafe" not in policy
    assert not re.search(r"""(src|href|action)\s*=\s*["']?\s*(https?:)?//|url\(|@import""", content.decode())


def test_a_visitor_who_sends_too_little_holds_up_no_one(page, monkeypatch, capfd):
    monkeypatch.setattr(serve.Handler, "timeout", 0.3)
    with socket.create_connection((serve.ADDRESS, page.server_port)) as idle:
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{page.server_port}\r\nContent-Type: image/png\r\n"
        idle.sendall(f"{head}Content-Length: 100\r\n\r\nx".encode())
        assert ask(page, "GET", "/")[0] == 200
        idle.settimeout(5)
        assert idle.recv(100) == b""
    assert capfd.readouterr().err == ""


def test_visitors_beyond_the_places_are_shut_out_and_those_who_leave_make_room(page):
    def visitor():
        made = socket.create_connection((serve.ADDRESS, page.server_port))
        made.settimeout(5)
        return made

    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(visitor()) for _ in range(serve.VISITORS)]
        assert stack.enter_context(visitor()).recv(1) == b"", "one more than there are places"
        idle[0].settimeout(0.2)
        with pytest.raises(TimeoutError):
            idle[0].recv(1)
        idle[0].close()
        for _ in range(50):  # until its thread has seen that
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ask(page, "GET", "/")[0] == 200:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("the place that was left is not given again")


@pytest.mark.parametrize("part", ["request", "headers", "body"])
def test_a_visitor_who_drips_is_shut_out_after_a_deadline(part, page, monkeypatch, capfd):
    monkeypatch.setattr(serve.Handler, "timeout", 0.5)
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{page.server_port}\r\nContent-Type: image/png\r\n"
    sent = {"request": "GE", "headers": head, "body": f"{head}Content-Length: 100\r\n\r\n"}[part]
    began = time.monotonic()
    with socket.create_connection((serve.ADDRESS, page.server_port)) as slow:
        slow.sendall(sent.encode())
        slow.settimeout(0.1)
        for _ in range(40):
            with contextlib.suppress(TimeoutError, ConnectionError):
                slow.sendall(b"x")
                slow.recv(1000)
                break
        assert 0.3 < time.monotonic() - began < 3
    assert ask(page, "GET", "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_pictures_are_decoded_one_at_a_time_and_no_larger_than_needed(page, monkeypatch):
    read, within, most, sizes = serve.pictures.read, [], [], []

    def watched(*arguments):
        within.append(1)
        most.append(len(within))
        try:
            time.sleep(0.02)
            image = read(*arguments)
            sizes.append(image.size)
            return image
        finally:
            within.pop()

    monkeypatch.setattr(serve.pictures, "read", watched)
    large = png(digit().resize((2400, 2600)))
    answers = []
    asking = [
        threading.Thread(
            target=lambda: answers.append(ask(page, "POST", "/predict", large, Content_Type="image/png")[0])
        )
        for _ in range(6)
    ]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert answers == [200] * 6 and max(most) == 1
    assert sizes == [(1200, 1300)] * 6


def test_a_picture_whose_turn_does_not_come_is_told_so(page, monkeypatch):
    monkeypatch.setattr(serve, "TURN", 0.1)
    with page.lock:
        status, _, content = ask(page, "POST", "/predict", png(digit()), Content_Type="image/png")
    assert (status, json.loads(content)["error"]) == (503, "busy with other pictures; try again")
    assert ask(page, "POST", "/predict", png(digit()), Content_Type="image/png")[0] == 200


def test_the_command_answers_until_it_is_interrupted(project):
    command = [sys.executable, "-m", "replica", "serve", "digits", "--port"]
    environment = {**os.environ, "PYTHONPATH": str(trained.ROOT)}
    started = subprocess.Popen(
        [*command, "0"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        port = re.search(r"digits answers at http://127\.0\.0\.1:(\d+)/", started.stdout.readline())[1]
        taken = subprocess.run([*command, port], env=environment, capture_output=True, text=True, check=False)
        line = f"error: replica serve: port {port}: Address already in use; --port 0 takes a free one\n"
        assert (taken.returncode, taken.stderr) == (1, line)
        started.send_signal(signal.SIGINT)
        assert started.wait(10) == 0 and started.stderr.read() == ""
    finally:
        started.kill()
        started.communicate()


# In a browser


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: install chromium to run the page's browser tests")
    expect.set_options(timeout=30_000)  # the five seconds that it has are few where all cores are at work
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def visit(browser):
    """Open a page in a window; at the end nothing was asked of another address and no script failed."""
    opened, problems = [], []

    def go(server: serve.Page, width: int = 1280, **context):
        window = browser.new_context(viewport={"width": width, "height": 800}, **context)
        opened.append(window)
        page = window.new_page()
        # Chromium puts on the console that a picture was refused, or the request aborted.
        page.on(
            "console",
            lambda message: problems.extend([message.text] * (not re.search("status of 4|ERR_FAILED", message.text))),
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        allowed = (server.url, "data:", f"blob:{server.url}")
        page.on("request", lambda request: problems.extend([request.url] * (not request.url.startswith(allowed))))
        page.goto(server.url)
        return page

    yield go
    assert problems == []
    for window in opened:
        window.close()


def stroke(page, *points: tuple[int, int]) -> None:
    """A line with the mouse, over points in percent of the drawing area."""
    box = page.locator("#canvas").bounding_box()
    at = [(box["x"] + x / 100 * box["width"], box["y"] + y / 100 * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=6)
    page.mouse.up()


def drop(page, name: str, kind: str, content: bytes) -> None:
    data = page.evaluate_handle(
        """([name, type, text]) => {
          const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
          return data;
        }""",
        [name, kind, base64.b64encode(content).decode()],
    )
    page.dispatch_event("body", "drop", {"dataTransfer": data})


def answered(page) -> str:
    expect(page.locator("#best")).not_to_be_empty()
    return page.inner_text("#best")


def test_a_drawn_digit_is_answered(visit, page):
    window = visit(page)
    assert window.locator("#bars li").count() == 10 and not window.locator("#maps").is_visible()
    stroke(window, (50, 15), (48, 85))
    assert answered(window) == "1"
    assert window.locator("#bars .top").inner_text().split()[0] == "1"
    shares = [float(text.rstrip("%")) for text in window.locator("#bars .p").all_inner_texts()]
    assert abs(sum(shares) - 100) < 1 and shares.index(max(shares)) == 1
    seen = image_of(window.locator("#seen").get_attribute("src"))
    assert seen.shape == (28, 28) and seen[4:24, 12:17].max() > 200 and not seen[:, :8].any() and not seen[:, 20:].any()
    assert window.locator("#layers h3").all_inner_texts() == ["conv2d: 4 maps", "conv2d_1: 6 maps"]
    assert window.locator("#layers img").count() == 10
    assert window.evaluate("[...document.images].every((each) => each.hidden || each.naturalWidth > 0)")
    window.locator("#clear").click()
    assert window.inner_text("#best") == "" and not window.locator("#maps").is_visible()
    assert window.locator("#seen").is_hidden()


def test_the_keyboard_draws_too(visit, page):
    window = visit(page)
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.id") == "canvas" and window.locator("#pen").is_visible()
    for key in (" ", *["ArrowDown"] * 16, " "):
        window.keyboard.press(key)
    expect(window.locator("#best")).to_have_text("1")  # each stroke is answered, the first ones with another digit
    window.keyboard.press("Tab")
    window.keyboard.press("Enter")
    assert window.evaluate("document.activeElement.id") == "clear" and window.inner_text("#best") == ""
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.id") == "file" and window.locator("#pen").is_hidden()


def test_what_was_cleared_while_it_became_a_file_is_not_answered(visit, page):
    window = visit(page)
    window.evaluate("""() => {
        const made = HTMLCanvasElement.prototype.toBlob;
        HTMLCanvasElement.prototype.toBlob = function (then, kind) {
            made.call(this, (file) => setTimeout(() => { then(file); window.late = true; }, 300), kind);
        };
    }""")
    window.keyboard.press("Tab")
    window.keyboard.press(" ")
    window.locator("#clear").click()
    window.wait_for_timeout(1200)
    assert window.evaluate("window.late")
    assert window.inner_text("#best") == "" and window.locator("#seen").is_hidden()


def test_a_file_that_is_no_picture_is_a_line_and_the_next_one_is_answered(visit, page):
    window = visit(page)
    drop(window, "notes.txt", "text/plain", b"not a picture")
    expect(window.locator("#error")).to_have_text("no picture")
    drop(window, "broken.png", "image/png", b"not a picture")
    expect(window.locator("#error")).to_have_text("the file: no PNG, JPEG, GIF, BMP or WEBP picture")
    assert window.inner_text("#name") == "broken.png" and window.inner_text("#best") == ""
    data = arrays.load("mnist_5k")
    drop(window, "digit.png", "image/png", png(digit(1)))
    expected = page.predictor.probabilities(data.x_test[1:2])[0].argmax()
    assert answered(window) == data.classes[expected]
    assert window.inner_text("#error") == "" and window.inner_text("#name") == "digit.png"


def test_of_many_classes_the_likeliest_are_shown_and_none_once_there_is_no_answer(visit, many):
    window = visit(many)
    assert window.locator("#bars li").count() == 12
    for no_more in ("refused", "cleared"):
        stroke(window, (50, 15), (48, 85))
        assert answered(window) == "t"
        assert [line.split()[0] for line in window.locator("#bars li").all_inner_texts()] == list("tsrqponmlkji")
        if no_more == "refused":
            drop(window, "broken.png", "image/png", b"not a picture")
            expect(window.locator("#error")).to_have_text("the file: no PNG, JPEG, GIF, BMP or WEBP picture")
        else:
            window.locator("#clear").click()
        assert window.inner_text("#best") == "" and window.locator("#seen").is_hidden()
        assert window.locator("#bars li").count() == 12 and window.locator("#bars .top").count() == 0


def test_pictures_in_colour_are_chosen_and_shown(visit, photos, tmp_path):
    window = visit(photos)
    assert window.locator("#canvas").count() == 0
    Image.fromarray(arrays.load("photos10").x_test[0]).resize((90, 60)).save(tmp_path / "photo.jpg")
    window.set_input_files("#file", tmp_path / "photo.jpg")
    assert answered(window) in photos.predictor.classes
    assert window.locator("#picture").is_visible() and not window.locator("#maps").is_visible()
    assert image_of(window.locator("#seen").get_attribute("src")).shape == (32, 32, 3)


def test_a_server_that_has_gone_is_a_line(visit, page):
    window = visit(page)
    window.route("**/predict", lambda route: route.abort())
    stroke(window, (50, 15), (48, 85))
    expect(window.locator("#error")).to_have_text("no answer: is `replica serve` still running?")


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_it_fits_a_phone_and_the_dark(visit, page, width, scheme):
    window = visit(page, width, color_scheme=scheme, has_touch=True)
    stroke(window, (50, 15), (48, 85))
    answered(window)
    assert window.evaluate("document.documentElement.scrollWidth") <= width
    paper = re.findall(r"\d+", window.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (sum(map(int, paper[:3])) / 3 < 60) == (scheme == "dark")
