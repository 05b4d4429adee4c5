"""A local page: drop a photograph, see each head's answer, confidence and class map.

By the standard library's server: one small page for one person, which needs no framework. Nothing
that is sent is kept; requests under another host's name, or from another site's page, are refused.
"""

import base64
import io
import json
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, final

import numpy as np
from PIL import Image

from headtohead.core.errors import StorageError, UsageError
from headtohead.core.text import printable
from headtohead.data.decode import Undecodable, decode
from headtohead.data.resize import resize
from headtohead.deploy.explain import ClassEvidence, Explanation, explanations
from headtohead.deploy.image_files import Pixels
from headtohead.deploy.runs import Member
from headtohead.report.charts.overlay import overlay
from headtohead.store.ledger import StudyFile

MOST_BYTES = 32 * 2**20
"""Of an upload."""

PATIENCE = 30
"""Seconds that a client may take between two parts of a request."""

SIDE = 256
"""Pixels of an image on the page, at least."""

PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
EVERYWHERE = ("", "0.0.0.0")  # noqa: S104 - only where the user asks for it
"""What --host is where the page listens at every address of the machine."""


class Refused(Exception):  # noqa: N818 - an answer to a client, not a failure
    """A request that gets a sentence instead of an answer; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@final
class Demo(ThreadingHTTPServer):
    """Serves `members` of a study at (host, port); port 0 takes a free one.

    Raises StorageError where the address cannot be had.
    """

    daemon_threads = True

    def __init__(self, file: StudyFile, members: Sequence[Member], host: str, port: int) -> None:
        if not members:
            raise UsageError("a demo takes at least one finished run; there is none.")
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise StorageError(
                f"cannot listen at {host}:{port}: {error.strerror or error}. Choose another --port "
                f"or --host."
            ) from error
        self.file, self.members = file, tuple(members)
        self.models = threading.Lock()
        port = self.server_address[1]
        names = LOOPBACK if host in ("127.0.0.1", "localhost") else (*LOOPBACK, host)
        self.hosts = frozenset(f"{name}:{port}" for name in names)
        self.everywhere = host in EVERYWHERE

    @property
    def address(self) -> str:
        """Where to point a browser."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/"

    def knows(self, host: str) -> bool:
        """Whether a request under the name `host` is for this page.

        Where it listens at every address of the machine, any address is: another site's page can
        give this one a name of its own (DNS rebinding), but not an address.
        """
        name, _, port = host.rpartition(":")
        return host in self.hosts or (
            self.everywhere and port == str(self.server_address[1]) and _is_address(name)
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def about(self) -> str:
        """What the page says above."""
        classes = ", ".join(map(printable, self.file.classes))
        return f"Study {self.file.study.name}. Classes: {classes}."

    def answer(self, data: bytes) -> dict[str, Any]:
        """Every head's answer on an uploaded file. Raises Refused."""
        pictures = self.file.study.pictures
        side = pictures.image_size
        try:
            pixels = resize(decode(data), (side, side), pictures.resize)
        except Undecodable as refusal:
            raise Refused(422, f"This file cannot be read: {refusal.reason}.") from None
        with self.models:  # one photograph at a time
            found = [
                (member, explanations(member, self.file.classes, pixels[None])[0])
                for member in self.members
            ]
        return {
            "photograph": _address(pixels),
            "heads": [_told(member, explanation) for member, explanation in found],
        }


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Demo
    timeout = PATIENCE
    server_version, sys_version = "headtohead", ""

    def do_GET(self) -> None:
        """The page, its style and its script, and what it is about."""
        self._reply(self._get)

    def do_POST(self) -> None:
        """A photograph."""
        self._reply(self._post)

    def _get(self) -> tuple[str, bytes]:
        if self.path == "/about":
            return "application/json", json.dumps({"text": self.server.about()}).encode()
        if self.path not in FILES:
            raise Refused(404, "There is no such page.")
        name, kind = FILES[self.path]
        return kind, (PAGE / name).read_bytes()

    def _post(self) -> tuple[str, bytes]:
        if self.path != "/predict":
            raise Refused(404, "There is no such page.")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise Refused(411, "A photograph comes with its length.")
        if len(length) > 12 or int(length) > MOST_BYTES:
            raise Refused(413, f"This file is too large: at most {MOST_BYTES // 2**20} MiB.")
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            raise Refused(400, "The photograph did not arrive whole.")
        return "application/json", json.dumps(self.server.answer(data)).encode()

    def _reply(self, work: Any) -> None:
        try:
            self._check_origin()
            kind, content = work()
            status = 200
        except Refused as refusal:
            kind, content = "application/json", json.dumps({"error": str(refusal)}).encode()
            status = refusal.status
            self.close_connection = True
        except OSError:  # the client is gone, or too slow
            self.close_connection = True
            return
        except Exception as error:  # one photograph's failure must not end the page
            told = f"This photograph failed: {type(error).__name__}. Another one may not."
            kind, content = "application/json", json.dumps({"error": told}).encode()
            status = 500
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _check_origin(self) -> None:
        """Another site's page can make a browser ask here: its name gives it away."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        if not self.server.knows(host):
            raise Refused(403, "This page answers under its own address alone.")
        if origin is not None and origin != f"http://{host}":
            raise Refused(403, "This page answers no other page's requests.")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing: what a person looks at is nobody's business."""


def _is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


def _told(member: Member, found: Explanation) -> dict[str, Any]:
    return {
        "head": found.head,
        "seed": found.seed,
        "exact": found.exact,
        "told": member.told.partition(", ")[2],
        "evidence": [_evidence(found.pixels, one) for one in found.evidence],
    }


def _evidence(pixels: Pixels, found: ClassEvidence) -> dict[str, Any]:
    return {
        "label": printable(found.label),
        "probability": found.probability,
        "limit": found.limit,
        "image": _address(overlay(pixels, found.map, found.limit)),
    }


def _address(pixels: Pixels) -> str:
    """A PNG as a `data:` address, small images brought up."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if image.width < SIDE:
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
