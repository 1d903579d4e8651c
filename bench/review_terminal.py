"""A pseudo-terminal that draws as kitty does, somebody at it, and a line that can be cut."""

from __future__ import annotations

import base64
import fcntl
import io
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from PIL import Image

PATIENCE = 90.0
BARS = (8, 16)
LONGEST = 200
"""Of what is waited for, characters."""
READY = re.compile(rb"(?<!, )q quit")
RECORDED = re.compile(rb"Recorded\. Sighting ([0-9a-f-]{36})")
SHOWN = re.compile(rb"sighting ([0-9a-f]{8})(?![0-9a-f-])")
ENDED = re.compile(rb"u undo, q quit")
IMAGE = re.compile(rb"\x1b_G([^;\x1b]*);([A-Za-z0-9+/=]*)\x1b\\")


class Terminal:
    """A program in a pseudo-terminal that draws pictures as kitty does.

    Args:
        arguments: The command line.
        environment: Of the program.
        size: Columns and lines.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], size: tuple[int, int]
    ) -> None:
        self.main, child = pty.openpty()
        columns, lines = size
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.output = bytearray()
        self.arrived: list[tuple[int, float]] = []
        """How much had come, and when."""
        self._changed = threading.Condition()

        def control() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            arguments,
            stdin=child,
            stdout=child,
            stderr=child,
            env={**environment, "TERM": "xterm-kitty"},
            preexec_fn=control,  # noqa: PLW1509 - this process has one thread that matters by then
        )
        os.close(child)
        threading.Thread(target=self._read, daemon=True).start()

    def press(self, key: str) -> float:
        """Press a key and return when."""
        now = time.perf_counter()
        os.write(self.main, key.encode())
        return now

    def wait(self, pattern: re.Pattern[bytes], since: int) -> tuple[re.Match[bytes], float] | None:
        """Wait for output after a place; return it and when it had come; None once it has ended."""
        until = time.monotonic() + PATIENCE
        with self._changed:
            start = since
            while (found := pattern.search(self.output, start)) is None:
                start = max(since, len(self.output) - LONGEST)  # a picture is long
                if self.process.poll() is not None and not self._changed.wait(0.5):
                    return None
                if time.monotonic() > until:
                    raise TimeoutError(self.text()[-2000:])
                self._changed.wait(0.1)
        return found, self.when(found.end())

    def when(self, size: int) -> float:
        """Return when so much of the output had come."""
        return next(when for come, when in self.arrived if come >= size)

    def text(self) -> str:
        """Return what was printed, without pictures."""
        return IMAGE.sub(b"<picture>", bytes(self.output)).decode("utf-8", "replace")

    def pictures(self) -> list[Image.Image]:
        """Return the pictures that were drawn."""
        pictures, data = [], b""
        for head, chunk in IMAGE.findall(bytes(self.output)):
            if b"a=q" in head:
                continue
            data += chunk
            if b"m=0" in head:
                pictures.append(Image.open(io.BytesIO(base64.b64decode(data))))
                data = b""
        return pictures

    def end(self) -> int:
        """Wait until the program has ended and return its exit code."""
        return self.process.wait(PATIENCE)

    def _read(self) -> None:
        answered = False
        while True:
            try:
                part = os.read(self.main, 65536)
            except OSError:
                return
            with self._changed:
                self.output += part
                self.arrived.append((len(self.output), time.perf_counter()))
                self._changed.notify_all()
            if not answered and b"\x1b[c" in self.output:
                answered = True
                height, width = BARS[1], BARS[0]
                said = f"\x1b_Gi=31;OK\x1b\\\x1b[6;{height};{width}t\x1b[?62;4c"
                os.write(self.main, said.encode())


class Line:
    """A way to a service that can be cut: while it is, connections end and none is taken.

    Args:
        address: Of the service.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = (host or "127.0.0.1", int(port))
        self._cut = False
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End what goes over it, and take nothing more."""
        self._cut = True
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def mend(self) -> None:
        """Take connections again."""
        self._cut = False

    def _accept(self) -> None:
        while True:
            came, _ = self._server.accept()
            if self._cut:
                came.close()
                continue
            try:
                onward = socket.create_connection(self._target)
            except ConnectionRefusedError:  # the service is being stopped
                came.close()
                continue
            self._open += [came, onward]
            for source, target in ((came, onward), (onward, came)):
                threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@dataclass
class Seat:
    """A reviewer at a terminal."""

    terminal: Terminal
    look: float
    place: int = 0
    seen: list[str] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """From a key to the next picture."""
    answers: list[float] = field(default_factory=list)
    """From a key to the answer that it is recorded."""

    def next(self, pressed: float | None = None) -> bool:
        """Wait for the next candidate; return whether there is one."""
        found = self.terminal.wait(re.compile(READY.pattern + b"|" + ENDED.pattern), self.place)
        if found is None:
            return False
        match, when = found
        part = bytes(self.terminal.output[self.place : match.end()])
        self.recorded += [one.decode() for one in RECORDED.findall(part)]
        acknowledged = RECORDED.search(part)
        if acknowledged is not None and pressed is not None:
            self.answers.append(self.terminal.when(self.place + acknowledged.end()) - pressed)
        self.place = match.end()
        if match[0] != b"q quit":
            return False
        self.seen += [SHOWN.findall(part)[-1].decode()]
        if pressed is not None:
            self.times.append(when - pressed)
        return True

    def decide(self, key: str) -> bool:
        """Look, press a key, and wait for the next candidate."""
        time.sleep(self.look)
        pressed = self.terminal.press(key)
        if key == "r":
            asked = self.terminal.wait(re.compile(rb"Press r again"), self.place)
            assert asked is not None
            time.sleep(0.05)
            pressed = self.terminal.press("r")
        return self.next(pressed)
