"""What S3 servers refuse, and what is said of it."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from authority import Authority
from engines import S3Account, running
from homeward.embedded.files import make_private_folder
from homeward.embedded.ports import address
from homeward.embedded.weed import weed_spec
from homeward.servicekit import s3
from homeward.servicekit.errors import Reason, UnavailableError
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.s3_errors import denied_action

MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def opened(account: S3Account, bucket: str = "a-bucket") -> AsyncIterator[s3.S3ObjectStore]:
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=2,
    )
    async with BoundedExecutor("s3", workers=2, queue=8) as threads:
        yield s3.S3ObjectStore(client, bucket, threads, account.endpoint)
    client._http.clear()


@contextmanager
def answering(status: int, code: str, tls: ssl.SSLContext | None = None) -> Iterator[S3Account]:
    """A server that answers every call with one error, as S3 writes errors."""

    class Server(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a client that does not trust us

    server = Quiet(("127.0.0.1", 0), Server)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(server.serve_forever)
        scheme = "https" if tls else "http"
        yield S3Account(f"{scheme}://127.0.0.1:{server.server_port}", "access", "secret-key")
        server.shutdown()
    server.server_close()


async def refusal(account: S3Account) -> UnavailableError:
    """Return what is said when an object cannot be written."""
    async with opened(account) as store:
        # Where the bucket is, which the SDK asks first, is known.
        store.client._region_map["a-bucket"] = "us-east-1"
        with pytest.raises(UnavailableError) as refused:
            await store.put("a", b"1", content_type="text/plain")
    assert refused.value.reason is Reason.COMPONENT_UNAVAILABLE
    assert refused.value.metadata == {"component": "S3", "address": account.endpoint}
    return refused.value


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (507, "XMinioStorageFull"),
        (507, "InsufficientStorage"),
        (400, "XMinioAdminBucketQuotaExceeded"),
        (403, "QuotaExceeded"),
    ],
)
async def test_a_store_that_is_full_is_told_as_full(status: int, code: str) -> None:
    with answering(status, code) as account:
        refused = await refusal(account)

    assert f"it is full ({code}), so that nothing can be written: give it room" in str(refused)
    assert "does not answer" not in refused.message


async def test_a_seaweedfs_without_a_writable_volume_is_told_as_one_that_may_be_full(
    tmp_path: Path, ports: Mapping[str, int]
) -> None:
    data = make_private_folder(tmp_path / "weed")
    account = S3Account(f"http://{address(ports['s3'])}", "homeward", "a-secret-of-this-test")
    spec = weed_spec(
        data, ports=ports, access_key=account.access_key, secret_key=account.secret_key
    )
    small = {
        "-volume.max=0": "-volume.max=4",
        "-master.volumeSizeLimitMB=1024": "-master.volumeSizeLimitMB=1",
    }
    command = tuple(small.get(argument, argument) for argument in spec.command)
    with running(replace(spec, command=command), logs=data / "logs"):
        async with opened(account, f"test-{uuid.uuid4().hex}") as store:
            await store.ensure()

            async def fill() -> None:
                for number in range(100):
                    await store.put(f"{number}", bytes(MEBIBYTE), content_type="text/plain")

            with pytest.raises(UnavailableError) as refused:
                await fill()

    assert "it could not write (InternalError)" in refused.value.message
    assert "no volume is writable, as when it is full" in str(refused.value)


async def test_a_certificate_that_is_not_trusted_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Authority().write(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with answering(404, "NoSuchBucket", context) as account:
        distrusted = await refusal(account)
        monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
        trusted = await refusal(account)

    assert "its certificate is not trusted (" in distrusted.message
    assert "SSL_CERT_FILE" in str(distrusted)
    assert "does not answer" not in distrusted.message
    assert "it refused with NoSuchBucket" in trusted.message


async def test_a_certificate_for_another_address_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Authority().write(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    with answering(404, "NoSuchBucket", context) as account:
        elsewhere = replace(account, endpoint=account.endpoint.replace("127.0.0.1", "127.0.0.2"))
        server = ThreadingHTTPServer(("127.0.0.2", 0), BaseHTTPRequestHandler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        elsewhere = replace(account, endpoint=f"https://127.0.0.2:{server.server_port}")
        with ThreadPoolExecutor(1) as thread:
            thread.submit(server.serve_forever)
            refused = await refusal(elsewhere)
            server.shutdown()
        server.server_close()

    assert "its certificate is not trusted (" in refused.message
    assert "127.0.0.2" in refused.message.partition("not trusted")[2]


async def test_a_store_that_is_not_there_is_not_said_to_be_distrusted() -> None:
    refused = await refusal(S3Account("https://127.0.0.1:9", "access", "secret-key"))

    assert "does not answer at https://127.0.0.1:9" in refused.message
    assert "certificate" not in refused.message


async def test_a_store_that_speaks_no_tls_is_told_as_such() -> None:
    with answering(404, "NoSuchBucket") as account:
        plain = replace(account, endpoint=account.endpoint.replace("http:", "https:"))

        refused = await refusal(plain)

    assert "TLS fails with it" in refused.message


async def test_what_an_account_may_not_is_named_as_policies_name_it() -> None:
    with answering(403, "AccessDenied") as account:
        refused = await refusal(account)

    assert (
        "Homeward's account may not s3:PutObject, or s3:PutObjectTagging on bucket a-bucket"
        in refused.message
    )


@pytest.mark.parametrize(
    ("method", "url", "action"),
    [
        ("HEAD", "/b", "s3:ListBucket"),
        ("GET", "/b?list-type=2&prefix=a", "s3:ListBucket"),
        ("GET", "/b?versions=&prefix=a", "s3:ListBucketVersions"),
        ("PUT", "/b", "s3:CreateBucket"),
        ("GET", "/b?location=", "s3:GetBucketLocation"),
        ("GET", "/?lifecycle=", "s3:GetLifecycleConfiguration"),
        ("PUT", "/b?lifecycle=", "s3:PutLifecycleConfiguration"),
        ("POST", "/b/a?uploads=", "s3:PutObject"),
        ("PUT", "/b/a?partNumber=1&uploadId=2", "s3:PutObject, or s3:PutObjectTagging"),
        ("GET", "/b/a?uploadId=2", "s3:ListMultipartUploadParts"),
        ("DELETE", "/b/a?uploadId=2", "s3:AbortMultipartUpload"),
        ("DELETE", "/b/a", "s3:DeleteObject"),
        ("DELETE", "/b/a?versionId=1", "s3:DeleteObjectVersion"),
        ("GET", "/footage/b/original", "s3:GetObject, or s3:ListBucket of the bucket"),
        ("PATCH", "/b/a", ""),
    ],
)
def test_an_action_is_told_by_method_and_address(method: str, url: str, action: str) -> None:
    assert denied_action(method, url, "b") == action
