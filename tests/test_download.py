"""Downloads against a real server on this machine that misbehaves as real ones do."""

import hashlib
import re
import shutil
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from headtohead.core.errors import DataError, StorageError
from headtohead.data.download import CATS_VS_DOGS, Patience, Remote, fetch
from quiet import silent

CONTENT = np.random.default_rng(0).bytes(1_500_000)
IMPATIENT = Patience(attempts=3, pause_seconds=0.01)
Answer = Callable[["Handler", int], None]
"""Given the request and the byte it wants to start from."""


class Handler(BaseHTTPRequestHandler):
    """Answers as the test says, and notes what was asked for."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted.group(1)) if wanted else 0
        self.server.starts.append(start)
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self, start)
        self.close_connection = True

    def send(self, status: int, body: bytes, upto: int | None = None, **headers: str) -> None:
        """Promise all of `body` and send its first `upto` bytes."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:upto])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = [well]
        self.starts: list[int] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is what some tests are about."""

    def remote(self, content: bytes = CONTENT) -> Remote:
        url = f"http://127.0.0.1:{self.server_port}/pictures.zip"
        return Remote(url, "pictures.zip", len(content), hashlib.sha256(content).hexdigest())


def part_of(handler: Handler, start: int, upto: int | None, content: bytes = CONTENT) -> None:
    if start:
        scope = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.send(206, content[start:], upto, Content_Range=scope)
    else:
        handler.send(200, content, upto)


def well(handler: Handler, start: int) -> None:
    part_of(handler, start, None)


def broken_off(handler: Handler, start: int) -> None:
    part_of(handler, start, 600_000)


def ignoring_range(handler: Handler, start: int) -> None:
    handler.send(200, CONTENT)


def corrupt(handler: Handler, start: int) -> None:
    part_of(handler, start, None, bytes(len(CONTENT)))


def elsewhere(handler: Handler, start: int) -> None:
    handler.send(206, CONTENT[7:], Content_Range=f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}")


def status(number: int) -> Answer:
    return lambda handler, start: handler.send(number, b"no")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def refusal(server: Server, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        fetch(server.remote(), folder, silent, IMPATIENT)
    assert not (folder / "pictures.zip").exists()
    message = str(caught.value)
    assert repr(str(folder / "pictures.zip")) in message
    assert "--data path/to/pictures.zip" in message
    return message


def test_a_file_is_downloaded_with_progress_and_kept(tmp_path: Path, server: Server) -> None:
    """Nothing to see for minutes, or a download for every study."""
    reports: list[tuple[str, int, int]] = []
    for _ in range(2):
        path = fetch(
            server.remote(), tmp_path / "new", lambda *report: reports.append(report), IMPATIENT
        )
        assert path.read_bytes() == CONTENT
    assert server.starts == [0]
    done = [report[1] for report in reports]
    assert done == sorted(done)
    assert len(done) > 3
    assert reports[-1] == ("downloading pictures.zip, in bytes", len(CONTENT), len(CONTENT))
    assert {file.name for file in path.parent.iterdir()} <= {"pictures.zip", "pictures.zip.lock"}


def test_a_dropped_connection_is_continued_where_it_broke(tmp_path: Path, server: Server) -> None:
    """Hundreds of megabytes would be fetched again for one bad second."""
    server.answers = [broken_off]
    path = fetch(server.remote(), tmp_path, silent, IMPATIENT)
    assert path.read_bytes() == CONTENT
    assert len(server.starts) == 3
    assert np.allclose(np.diff(server.starts), 600_000, atol=2**15)


def test_what_an_earlier_process_received_is_continued(tmp_path: Path, server: Server) -> None:
    """Ctrl-C in a long download would lose it all."""
    (tmp_path / "pictures.zip.part").write_bytes(CONTENT[:1_000_000])
    assert fetch(server.remote(), tmp_path, silent, IMPATIENT).read_bytes() == CONTENT
    assert server.starts == [1_000_000]


def test_a_whole_part_needs_no_network(tmp_path: Path, server: Server) -> None:
    """Killed between the last byte and the checksum, the file would be fetched again."""
    (tmp_path / "pictures.zip.part").write_bytes(CONTENT)
    assert fetch(server.remote(), tmp_path, silent, IMPATIENT).read_bytes() == CONTENT
    assert server.starts == []


@pytest.mark.parametrize("answer", [ignoring_range, status(416)])
def test_a_server_that_cannot_continue_is_asked_for_all(
    tmp_path: Path, server: Server, answer: Answer
) -> None:
    """The whole file would be appended to its own first half."""
    server.answers = [broken_off, answer, well]
    assert fetch(server.remote(), tmp_path, silent, IMPATIENT).read_bytes() == CONTENT


def test_a_stale_part_is_thrown_away_once(tmp_path: Path, server: Server) -> None:
    """A wrong half on the disk would make every later download fail."""
    for length in (1_000_000, len(CONTENT), len(CONTENT) + 5):
        (tmp_path / "pictures.zip.part").write_bytes(bytes(length))
        assert fetch(server.remote(), tmp_path, silent, IMPATIENT).read_bytes() == CONTENT
        (tmp_path / "pictures.zip").unlink()


def test_a_busy_server_is_asked_again(tmp_path: Path, server: Server) -> None:
    """One 503 would end the command."""
    server.answers = [status(503), status(429), well]
    assert fetch(server.remote(), tmp_path, silent, IMPATIENT).read_bytes() == CONTENT


def test_corrupt_bytes_are_refused(tmp_path: Path, server: Server) -> None:
    """Images that were changed on the way would be trained on."""
    server.answers = [corrupt]
    assert "another checksum" in refusal(server, tmp_path)
    server.answers = [broken_off, corrupt]
    assert "another checksum" in refusal(server, tmp_path)


@pytest.mark.parametrize(
    ("answer", "reason", "requests"),
    [
        (status(404), "the server answered 404", 1),
        (status(200), "the server has another file (2 bytes)", 1),
        (status(500), "the server answered 500", 3),
    ],
)
def test_failure_says_why_and_where_to_put_the_archive(
    tmp_path: Path, server: Server, answer: Answer, reason: str, requests: int
) -> None:
    """Offline users would not know that an archive of their own works too."""
    server.answers = [answer]
    assert reason in refusal(server, tmp_path)
    assert len(server.starts) == requests


def test_another_part_than_asked_for_is_refused(tmp_path: Path, server: Server) -> None:
    """Bytes would be put together in the wrong place."""
    server.answers = [broken_off, elsewhere]
    assert "another part" in refusal(server, tmp_path)


def test_endless_answers_are_cut_off(tmp_path: Path, server: Server) -> None:
    """A server without a stated length could fill the disk."""

    def endless(handler: Handler, start: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(CONTENT + CONTENT)

    server.answers = [endless]
    assert "more than the file's size" in refusal(server, tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= len(CONTENT)


def test_no_network_is_a_data_error(tmp_path: Path, server: Server) -> None:
    """A traceback of connection pools on every train journey."""
    remote = server.remote()
    server.server_close()
    with pytest.raises(DataError, match="no connection"):
        fetch(remote, tmp_path, silent, IMPATIENT)


def test_a_file_put_there_by_hand_is_used_or_named(tmp_path: Path, server: Server) -> None:
    """The advice that the message gives would not work."""
    server.answers = [status(404)]
    (tmp_path / "pictures.zip").write_bytes(b"something else")
    with pytest.raises(DataError, match="another checksum"):
        fetch(server.remote(), tmp_path, silent, IMPATIENT)
    assert (tmp_path / "pictures.zip").read_bytes() == b"something else"
    (tmp_path / "pictures.zip").write_bytes(CONTENT)
    assert fetch(server.remote(), tmp_path, silent, IMPATIENT).read_bytes() == CONTENT


def test_a_disk_that_is_too_small_is_said_beforehand(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The download would end in a full disk."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000, 9_000, 1_000))
    with pytest.raises(StorageError, match="1,000 are free"):
        fetch(server.remote(), tmp_path, silent, IMPATIENT)
    assert server.starts == []


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path, server: Server) -> None:
    """A traceback instead of the advice to choose another cache folder."""
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageError, match="another cache folder"):
        fetch(server.remote(), tmp_path / "cache", silent, IMPATIENT)


def test_the_published_archive_is_the_one_that_was_checked() -> None:
    """A slip in the address or checksum would refuse everybody's download."""
    assert CATS_VS_DOGS.url.endswith("/" + CATS_VS_DOGS.file_name)
    assert CATS_VS_DOGS.size == 824_887_076
    assert CATS_VS_DOGS.sha256 == (
        "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"
    )
