"""Fetching weights, against a server of our own that cuts, lies and refuses."""

from __future__ import annotations

import hashlib
import http.server
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import equime.cli.weights  # noqa: F401  (registers the commands)
from equime import download, weights
from equime.cli.app import run
from equime.errors import InputError, WorkError
from equime.weights import WEIGHTS, WeightFile, Weights
from tests import runs

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `CONTENT`; what it does wrong is set by the test.

    ``cuts``: after how many bytes of the body the next connections end. ``ranges``: whether it knows them.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts: list[int] = []
        self.ranges = True
        self.status = 200
        self.kind = "application/octet-stream"
        self.pause_s = 0.0
        self.asked: list[str | None] = []

    def url(self, path: str = "file.pt") -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and server.ranges else 0
        if self.path == "/gone" or server.status >= 400:
            return self.send_error(404 if self.path == "/gone" else server.status)
        if wanted and start >= len(CONTENT):
            return self.answer(416, b"", f"bytes */{len(CONTENT)}")
        ranges = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        return self.answer(206 if start else 200, CONTENT[start:], ranges)

    def answer(self, status: int, body: bytes, ranges: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(body)))
        if status in (206, 416):
            self.send_header("Content-Range", ranges)
        self.end_headers()
        body = body[: self.server.cuts.pop(0)] if self.server.cuts else body
        for i in range(0, len(body), 65536):
            try:
                self.wfile.write(body[i : i + 65536])
            except OSError:
                return
            time.sleep(self.server.pause_s)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server; nothing but this machine can be reached."""
    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", f"a test went to {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE_S", 0.01)
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file of the entry ``net`` belongs."""
    monkeypatch.setenv(weights.PLACE, str(tmp_path / "weights"))
    return tmp_path / "weights" / "net" / "file.pt"


def add(monkeypatch: pytest.MonkeyPatch, *urls: str, sha256: str | None = SHA256, notice: str = "") -> None:
    file = WeightFile(
        file="file.pt", urls=urls, size_bytes=1, licence="of a test", sha256=sha256, notice=notice
    )
    entry = Weights(name="net", purpose="a test", used_by=(), framework="none", folder="net", files=(file,))
    monkeypatch.setitem(WEIGHTS, "net", entry)


def left(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir() if not path.name.endswith(".lock"))


def test_fetch(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, server.url())
    seen: list[tuple[str, int, int | None]] = []
    (state,) = download.fetch("net", report=lambda *args: seen.append(args))
    assert place.read_bytes() == CONTENT
    assert (state.state, state.sha256, state.path) == ("there", SHA256, str(place))
    assert seen[0] == ("file.pt", 0, len(CONTENT))
    assert seen[-1] == ("file.pt", len(CONTENT), len(CONTENT))
    assert weights.require("net") == place
    assert left(place) == ["file.pt"]
    download.fetch("net")
    assert server.asked == [None], "what is there is not fetched again"


def test_a_cut_connection_is_continued(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, server.url())
    server.cuts = [300_000, 200_000]
    download.fetch("net")
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]
    assert place.read_bytes() == CONTENT


def test_a_fetch_that_gave_up_is_continued_by_the_next(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, server.url())
    server.cuts = [100_000] * download.ATTEMPTS
    with pytest.raises(WorkError, match=r"early; the same command continues from byte 400000; check the"):
        download.fetch("net")
    assert not place.exists()
    download.fetch("net")
    assert server.asked[-1] == "bytes=400000-"
    assert place.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, server.url())
    server.ranges, server.cuts = False, [300_000]
    download.fetch("net")
    assert place.read_bytes() == CONTENT


def test_without_a_digest_nothing_is_continued_from_an_older_fetch(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, server.url(), sha256=None)
    place.parent.mkdir(parents=True)
    place.with_name(".file.pt.partial").write_bytes(b"of another version" * 1000)
    (state,) = download.fetch("net")
    assert server.asked == [None]
    assert (state.state, state.sha256) == ("unrecorded", SHA256)
    assert place.read_bytes() == CONTENT


@pytest.mark.parametrize("n_before", [len(CONTENT), len(CONTENT) + 5])
def test_a_partial_file_that_is_complete_or_too_long(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch, n_before: int
) -> None:
    add(monkeypatch, server.url())
    place.parent.mkdir(parents=True)
    place.with_name(".file.pt.partial").write_bytes((CONTENT + CONTENT)[:n_before])
    if n_before > len(CONTENT):
        with pytest.raises(WorkError, match="gave a file with sha256"):
            download.fetch("net")
        assert left(place) == ["file.pt.wrong"]
    download.fetch("net")
    assert place.read_bytes() == CONTENT


def test_a_wrong_digest_is_kept_aside(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, server.url(), sha256="0" * 64)
    with pytest.raises(WorkError) as caught:
        download.fetch("net")
    assert f"sha256 {SHA256}, expected {'0' * 64}; it is kept as {place}.wrong" in str(caught.value)
    assert left(place) == ["file.pt.wrong"]
    assert not weights.available("net")


def test_a_wrong_file_at_the_place_is_replaced(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, server.url())
    place.parent.mkdir(parents=True)
    place.write_bytes(b"damaged")
    download.fetch("net")
    assert place.read_bytes() == CONTENT
    assert place.with_name("file.pt.wrong").read_bytes() == b"damaged"


def test_gone_then_the_other_address(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, server.url("gone"))
    with pytest.raises(WorkError, match=r"/gone: the server says 404 Not Found; .* --from FILE`$"):
        download.fetch("net")
    add(monkeypatch, server.url("gone"), server.url())
    download.fetch("net")
    assert place.read_bytes() == CONTENT


def test_no_network(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.pt"
    add(monkeypatch, url)
    with pytest.raises(WorkError, match=r"cannot be reached \(.*refused\); check the connection and try"):
        download.fetch("net")


def test_a_server_in_trouble_is_asked_again(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, server.url())
    server.status = 503
    with pytest.raises(WorkError, match="the server says 503"):
        download.fetch("net")
    assert len(server.asked) == download.ATTEMPTS


def test_a_log_in_page_is_no_file(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, server.url(), sha256=None)
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(WorkError, match="sent a web page, not the file"):
        download.fetch("net")
    assert not place.exists()


def test_no_room_is_said_before_the_disk_is_full(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, server.url())
    usage = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WorkError, match=r"free some space there .*\(1 MB are needed, 1 MB are free\)"):
        download.fetch("net")


def test_a_disk_that_refuses_in_the_middle(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, server.url(), server.url("other"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(WorkError, match=r"File too large; free some space there and run the same"):
            download.fetch("net")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(server.asked) == 1, "another address would not help"
    download.fetch("net")
    assert place.read_bytes() == CONTENT


def test_killed_in_the_middle(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, server.url())
    server.pause_s = 0.2
    code = (
        "from equime import download, weights; from equime.weights import *;"
        f"f = WeightFile(file='file.pt', urls=({server.url()!r},), size_bytes=1, licence='', sha256={SHA256!r});"
        "weights.WEIGHTS['net'] = Weights(name='net', purpose='', used_by=(), framework='', folder='net', files=(f,));"
        "download.fetch('net')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=runs.environment())
    partial = place.with_name(".file.pt.partial")
    until = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(WorkError, match="another process is fetching it"):
        download.fetch("net")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not place.exists()
    n_before = partial.stat().st_size
    assert 0 < n_before < len(CONTENT)
    server.pause_s = 0.0
    download.fetch("net")
    assert server.asked[-1] == f"bytes={n_before}-"
    assert place.read_bytes() == CONTENT


# From a file


def test_from_a_file(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "http://nowhere.invalid/file.pt")
    source = tmp_path / "brought along"
    for content, message in (
        (b"", "is empty"),
        (b"other", f"is not file.pt of weights net: .* {SHA256}; get"),
    ):
        source.write_bytes(content)
        with pytest.raises((InputError, WorkError), match=message):
            download.fetch("net", source=source)
        assert not place.exists()
    source.write_bytes(CONTENT)
    download.fetch("net", source=source)
    assert place.read_bytes() == source.read_bytes() == CONTENT
    download.fetch("net", source=place)
    with pytest.raises(InputError, match="is not there"):
        download.fetch("net", source=tmp_path / "nothing")


def test_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.PLACE, str(tmp_path / "weights"))
    files = tuple(
        WeightFile(file=n, urls=("http://nowhere.invalid/x",), size_bytes=1, licence="") for n in "ab"
    )
    entry = Weights(name="net", purpose="", used_by=(), framework="", folder="net", files=files)
    monkeypatch.setitem(WEIGHTS, "net", entry)
    source = tmp_path / "stick"
    source.mkdir()
    with pytest.raises(InputError, match="holds none of a, b"):
        download.fetch("net", source=source)
    (source / "b").write_bytes(b"2")
    (source / "c").write_bytes(b"3")
    assert [s.state for s in download.fetch("net", source=source)] == ["missing", "unrecorded"]
    with pytest.raises(InputError, match="give a file of that name"):
        download.fetch("net", source=source / "c")
    (source / "a").write_bytes(b"1")
    assert [s.state for s in download.fetch("net", source=source / "a")] == ["unrecorded", "unrecorded"]


# Command line


def test_command(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(monkeypatch, server.url(), notice="for research only")
    assert run(["weights", "fetch", "net"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"net: {place}: right, sha256 {SHA256}\n"
    licence, notice, *_, progress = printed.err.splitlines()
    assert licence == "net: file.pt: licence: of a test"
    assert notice == "net: file.pt: note: for research only"
    assert progress == "file.pt: 1.0 MB of 1.0 MB, 100 %"
    place.unlink()
    add(monkeypatch, server.url("gone"))
    assert run(["weights", "fetch", "net"]) == 1
    assert "error: " in capsys.readouterr().err
    assert run(["weights", "fetch", "net", "nothing"]) == 1
    assert run(["weights", "fetch", "nothing"]) == 2
    (place.parent / "here").write_bytes(CONTENT)
    assert run(["weights", "fetch", "net", "--from", str(place.parent / "here")]) == 0
    assert run(["weights", "fetch", "net", "other", "--from", str(place)]) == 2
