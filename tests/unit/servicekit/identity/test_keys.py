"""Where an issuer's keys come from, and that they are followed and not asked for too often."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from authority import Authority
from homeward.core.tls import TlsFiles
from homeward.servicekit import errors
from homeward.servicekit.identity import keys
from homeward.servicekit.identity.keys import (
    FileKeys,
    KeysError,
    KeySet,
    UrlKeys,
    fetch_over_https,
)
from issuer import Key, jwks, new_key

FIRST, SECOND = new_key(key_id="first"), new_key(key_id="second")
RSA = new_key("RS256", "rsa")


class Endpoint:
    """Answers with keys, or fails, and counts."""

    def __init__(self, *held: Key) -> None:
        self.held: bytes | None = jwks(*held)
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        if self.held is None:
            raise OSError("it is away")
        return self.held


class Seconds:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def following(endpoint: Callable[[], bytes], clock: Callable[[], float]) -> UrlKeys:
    return UrlKeys(endpoint, address="https://login.example.org/keys", clock=clock)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [1]}',
        b'{"keys": []}',
        b'{"keys": [{"kty": ["RSA"]}]}',
        b"[" * 100_000,
        b'{"keys": "\xff"}',
    ],
)
def test_what_is_no_set_of_keys_is_refused(data: bytes) -> None:
    with pytest.raises(KeysError):
        KeySet.parsed(data)


def test_shared_and_encryption_keys_are_left_out() -> None:
    shared = {"kty": "oct", "k": "c2VjcmV0", "kid": "first"}
    data = json.dumps({"keys": [shared, FIRST.jwk(use="enc")]}).encode()

    with pytest.raises(KeysError, match="no public key for signatures"):
        KeySet.parsed(data)


@pytest.mark.parametrize(
    ("key_id", "algorithm", "found"),
    [
        ("first", "ES256", True),
        ("first", "ES384", False),
        ("first", "RS256", False),
        ("rsa", "RS256", True),
        ("rsa", "PS256", True),
        ("rsa", "ES256", False),
        ("third", "ES256", False),
        (None, "ES256", False),
    ],
)
def test_a_key_is_found_by_its_id_and_kind(
    key_id: str | None, algorithm: str, *, found: bool
) -> None:
    held = KeySet.parsed(jwks(FIRST, RSA))

    assert (held.find(key_id, algorithm) is not None) is found


def test_a_key_that_states_an_algorithm_serves_no_other() -> None:
    held = KeySet.parsed(json.dumps({"keys": [RSA.jwk(alg="RS256")]}).encode())

    assert held.find("rsa", "RS256") is not None
    assert held.find("rsa", "PS256") is None


def test_a_short_key_is_refused() -> None:
    held = KeySet.parsed(jwks(new_key("RS256", "short", bits=1024)))

    with pytest.raises(KeysError, match="less than 2048 bits"):
        held.find("short", "RS256")


def test_a_damaged_key_is_refused() -> None:
    held = KeySet.parsed(json.dumps({"keys": [FIRST.jwk(x="AAAA")]}).encode())

    with pytest.raises(KeysError, match="damaged"):
        held.find("first", "ES256")


async def test_a_file_is_read_again_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(jwks(FIRST))
    held = FileKeys(path)
    before = await held.find("second", "ES256")
    (tmp_path / "new.json").write_bytes(jwks(SECOND))
    (tmp_path / "new.json").replace(path)

    assert before is None
    assert await held.find("second", "ES256") is not None
    assert await held.find("first", "ES256") is None


async def test_a_file_that_is_damaged_later_leaves_the_keys_that_were_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(jwks(FIRST))
    held = FileKeys(path)
    path.unlink()
    path.write_bytes(b"half of it")

    assert await held.find("first", "ES256") is not None


@pytest.mark.parametrize(
    "content", [None, b"none", b'{"keys": "\xff"}', b" " * (keys.MAX_BYTES + 1)]
)
def test_a_file_must_serve_from_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(KeysError, match=r"keys\.json"):
        FileKeys(path)


async def test_keys_are_fetched_when_they_are_first_needed_and_kept() -> None:
    endpoint, clock = Endpoint(FIRST), Seconds()
    held = following(endpoint, clock)
    before = endpoint.calls
    found = [await held.find("first", "ES256") for _ in range(3)]

    assert (before, endpoint.calls) == (0, 1)
    assert None not in found


async def test_an_unknown_key_has_them_fetched_again_once_a_minute() -> None:
    endpoint, clock = Endpoint(FIRST), Seconds()
    held = following(endpoint, clock)
    await held.find("first", "ES256")
    endpoint.held = jwks(FIRST, SECOND)
    clock.now += keys.REFETCH_SECONDS - 0.001
    too_soon = [await held.find("second", "ES256") for _ in range(100)]
    calls = endpoint.calls
    clock.now += 0.001
    in_time = await held.find("second", "ES256")

    assert set(too_soon) == {None}
    assert (calls, endpoint.calls) == (1, 2)
    assert in_time is not None


async def test_a_key_that_was_withdrawn_is_not_trusted_for_long() -> None:
    endpoint, clock = Endpoint(FIRST, SECOND), Seconds()
    held = following(endpoint, clock)
    await held.find("first", "ES256")
    endpoint.held = jwks(SECOND)
    clock.now += keys.REFRESH_SECONDS - 0.001
    before = await held.find("first", "ES256")
    clock.now += 0.001

    assert before is not None
    assert await held.find("first", "ES256") is None


async def test_keys_serve_for_a_day_while_their_server_is_away() -> None:
    endpoint, clock = Endpoint(FIRST), Seconds()
    held = following(endpoint, clock)
    await held.find("first", "ES256")
    endpoint.held = None
    clock.now += keys.STALE_SECONDS - 0.001
    last = await held.find("first", "ES256")
    clock.now += 0.001

    assert last is not None
    with pytest.raises(errors.UnavailableError) as refused:
        await held.find("first", "ES256")
    assert refused.value.reason == "COMPONENT_UNAVAILABLE"


async def test_calls_that_come_at_once_fetch_once() -> None:
    may_answer = threading.Event()
    endpoint = Endpoint(FIRST)

    def slow() -> bytes:
        assert may_answer.wait(10)
        return endpoint()

    held = following(slow, Seconds())
    asking = [asyncio.create_task(held.find("first", "ES256")) for _ in range(10)]
    given_up = asking.pop(0)
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    may_answer.set()
    found = await asyncio.gather(*asking)

    assert given_up.cancelled()
    assert None not in found
    assert endpoint.calls == 1


async def test_an_answer_that_never_ends_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "FETCH_TIMEOUT_SECONDS", 0.05)
    may_answer, drips = threading.Event(), threading.Event()
    endpoint, clock = Endpoint(FIRST), Seconds()

    def fetch() -> bytes:
        if drips.is_set():
            assert may_answer.wait(10)
        return endpoint()

    held = following(fetch, clock)
    await held.find("first", "ES256")
    drips.set()
    clock.now += keys.REFRESH_SECONDS
    async with asyncio.timeout(5):
        known = await held.find("first", "ES256")
        clock.now += keys.FETCH_TIMEOUT_SECONDS
        unknown = await held.find("second", "ES256")  # waits no more for the same fetch
    may_answer.set()

    assert (known is not None, unknown) == (True, None)
    assert endpoint.calls == 1


async def test_a_server_that_is_away_from_the_start_is_said_to_be() -> None:
    endpoint, clock = Endpoint(), Seconds()
    endpoint.held = None

    with pytest.raises(errors.UnavailableError, match="issuer's key server"):
        await following(endpoint, clock).find("first", "ES256")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, TlsFiles, list[str]]]:
    """Serves keys over HTTPS at `/keys`, and what is at other paths of no use."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = {
                "/keys?of=force": (200, jwks(FIRST)),
                "/large": (200, b" " * (keys.MAX_BYTES + 1)),
                "/moved": (302, b""),
                "/slowly": (200, jwks(FIRST)),
            }.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Location", "/keys?of=force")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # who asked has gone
                for part in _slowly(body) if self.path.endswith("slowly") else [body]:
                    self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    files = Authority().write(tmp_path / "tls")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://localhost:{server.server_port}", files, asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_keys_come_over_https(served: tuple[str, TlsFiles, list[str]]) -> None:
    url, files, _ = served

    assert fetch_over_https(f"{url}/keys?of=force", files.authority) == jwks(FIRST)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/moved", "the answer is 302, not 200"),
        ("/nothing", "the answer is 404"),
        ("/large", "more than 1048576 bytes"),
    ],
)
def test_an_answer_without_keys_is_refused(
    served: tuple[str, TlsFiles, list[str]], path: str, problem: str
) -> None:
    url, files, asked = served

    with pytest.raises(KeysError, match=problem):
        fetch_over_https(url + path, files.authority)
    assert asked == [path]


def test_an_answer_that_comes_bit_by_bit_is_given_up(
    served: tuple[str, TlsFiles, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LONGEST_FETCH_SECONDS", 0.1)
    url, files, _ = served

    with pytest.raises(KeysError, match=r"within 0\.1 s"):
        fetch_over_https(f"{url}/slowly", files.authority)


def _slowly(body: bytes) -> Iterator[bytes]:
    for byte in body[:40]:
        time.sleep(0.02)
        yield bytes([byte])


def test_a_host_that_is_not_trusted_is_asked_nothing(
    served: tuple[str, TlsFiles, list[str]], tmp_path: Path
) -> None:
    url, _, asked = served
    other = Authority("another").write(tmp_path / "other")

    with pytest.raises(ssl.SSLCertVerificationError):
        fetch_over_https(f"{url}/keys?of=force", other.authority)
    assert asked == []
