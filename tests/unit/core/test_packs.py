from __future__ import annotations

import datetime as dt
import hashlib
import http.server
import ipaddress
import json
import ssl
import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from homeward.core import packs
from homeward.core.packs import Pack, PackError, PackExistsError

DETECTOR, RECOGNISER = b"detector" * 1000, b"recogniser" * 1000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "buffalo"
    folder.mkdir()
    (folder / "det.onnx").write_bytes(DETECTOR)
    (folder / "w.onnx").write_bytes(RECOGNISER)
    (folder / "readme.txt").write_text("not a model")
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return zipped(tmp_path / "buffalo.zip", ("det.onnx", DETECTOR), ("w.onnx", RECOGNISER))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "packs"


def contents(pack: Pack) -> dict[str, bytes]:
    return {file.name: pack.read(file) for file in pack.files}


def refusal(source: object, folder: Path, **given: str) -> str:
    """Return why nothing is installed, having seen that nothing is."""
    with pytest.raises(PackError) as refused:
        packs.install(str(source), folder=folder, **given)
    assert list(folder.glob("*")) + list(folder.glob(".*")) == []
    return str(refused.value)


def test_the_models_of_a_folder_are_installed_under_its_name(source: Path, folder: Path) -> None:
    packs.install(str(source), folder=folder, licence="mine")

    pack = packs.find("buffalo", folder)
    assert contents(pack) == {"det.onnx": DETECTOR, "w.onnx": RECOGNISER}
    assert (pack.source, pack.licence) == (str(source), "mine")
    assert sorted(path.name for path in pack.folder.iterdir()) == [
        "det.onnx",
        packs.MANIFEST,
        "w.onnx",
    ]
    assert packs.installed(folder) == [folder / "buffalo"]


def test_the_manifest_names_files_digests_and_source(source: Path, folder: Path) -> None:
    pack = packs.install(str(source), folder=folder)

    assert json.loads((pack.folder / packs.MANIFEST).read_text()) == {
        "version": 2,
        "source": str(source),
        "licence": "",
        "recogniser_input": {
            "colour_order": "RGB",
            "mean": 127.5,
            "scale": 127.5,
            "side_px": 112,
            "template_size": None,
            "normalised": False,
        },
        "recogniser_alone": False,
        "training_data": {
            "detector": {"data": "not documented", "source": ""},
            "recogniser": {"data": "not documented", "source": ""},
        },
        "files": [
            {"name": "det.onnx", "sha256": sha256(DETECTOR), "size_bytes": len(DETECTOR)},
            {"name": "w.onnx", "sha256": sha256(RECOGNISER), "size_bytes": len(RECOGNISER)},
        ],
    }


@pytest.mark.parametrize("inside", ["", "buffalo/", "a/b/"])
def test_a_zip_file_is_installed_whichever_folder_it_has_inside(
    tmp_path: Path, folder: Path, inside: str
) -> None:
    file = zipped(
        tmp_path / "force-1.zip",
        (f"{inside}det.onnx", DETECTOR),
        (f"{inside}w.onnx", RECOGNISER),
        (f"__MACOSX/{inside}._w.onnx", b"what macOS knows of it"),
        ("readme.txt", b"not a model"),
    )

    pack = packs.install(str(file), folder=folder, sha256=sha256(file.read_bytes()).upper())

    assert pack.name == "force-1"
    assert contents(pack) == {"det.onnx": DETECTOR, "w.onnx": RECOGNISER}


def test_progress_ends_with_all_that_there_is(archive: Path, folder: Path) -> None:
    told: list[tuple[float, float]] = []

    packs.install(str(archive), folder=folder, show=lambda done, total: told.append((done, total)))

    total = len(DETECTOR) + len(RECOGNISER)
    assert told == [(len(DETECTOR), total), (total, total)]


def test_a_pack_is_replaced_only_when_asked_to(source: Path, folder: Path) -> None:
    packs.install(str(source), folder=folder)
    (source / "w.onnx").write_bytes(b"newer")

    with pytest.raises(PackExistsError, match="--force replaces it"):
        packs.install(str(source), folder=folder)
    kept = contents(packs.find("buffalo", folder))
    packs.install(str(source), folder=folder, replace=True)

    assert kept["w.onnx"] == RECOGNISER
    assert contents(packs.find("buffalo", folder))["w.onnx"] == b"newer"
    assert [path.name for path in folder.iterdir()] == ["buffalo"]


def test_a_failed_replacement_leaves_the_pack_as_it_was(
    source: Path, folder: Path, tmp_path: Path
) -> None:
    packs.install(str(source), folder=folder)
    (tmp_path / "broken.zip").write_bytes(b"PK")

    with pytest.raises(PackError):
        packs.install(str(tmp_path / "broken.zip"), folder=folder, name="buffalo", replace=True)

    assert contents(packs.find("buffalo", folder))["w.onnx"] == RECOGNISER


def test_a_source_that_is_not_there_is_refused(tmp_path: Path, folder: Path) -> None:
    assert "no such file or folder" in refusal(tmp_path / "none", folder)


@pytest.mark.parametrize("name", ["../out", ".hidden", "a/b", "with space"])
def test_a_name_that_is_no_folder_name_is_refused(source: Path, folder: Path, name: str) -> None:
    assert "--name gives one" in refusal(source, folder, name=name)


def test_a_folder_without_models_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "has no *.onnx file" in refusal(tmp_path / "empty", folder)


def test_a_part_of_a_pack_is_refused(source: Path, folder: Path) -> None:
    (source / "w.onnx").unlink()

    assert "only a part of a pack: det.onnx" in refusal(source, folder)


def test_a_zip_file_with_another_digest_is_not_unpacked(archive: Path, folder: Path) -> None:
    told = refusal(archive, folder, sha256="0" * 64)

    assert "is not the file that was asked for" in told
    assert sha256(archive.read_bytes()) in told


def test_what_is_no_sha256_is_refused(archive: Path, folder: Path) -> None:
    assert "64 hexadecimal digits" in refusal(archive, folder, sha256="5b9e")


def test_a_folder_has_no_sha256(source: Path, folder: Path) -> None:
    assert "leave it out" in refusal(source, folder, sha256="0" * 64)


@pytest.mark.parametrize(
    "name", ["../w.onnx", "/etc/w.onnx", "a/../../w.onnx", "..\\w.onnx", "C:w.onnx"]
)
def test_a_zip_file_that_reaches_out_of_its_folder_is_refused(
    tmp_path: Path, folder: Path, name: str
) -> None:
    file = zipped(tmp_path / "hostile.zip", ("det.onnx", DETECTOR), (name, RECOGNISER))

    assert "reaches out of its folder" in refusal(file, folder)


def test_a_zip_file_with_a_symbolic_link_is_refused(tmp_path: Path, folder: Path) -> None:
    link = zipfile.ZipInfo("w.onnx")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = zipped(tmp_path / "hostile.zip", ("det.onnx", DETECTOR), (link, b"/etc/passwd"))

    assert "reaches out of its folder" in refusal(file, folder)


def test_a_zip_file_that_says_to_be_too_large_is_refused(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MAX_BYTES", len(DETECTOR) + len(RECOGNISER) - 1)

    assert "larger than a pack may be" in refusal(archive, folder)


def test_a_zip_file_that_lies_about_its_size_is_refused(archive: Path, folder: Path) -> None:
    data = archive.read_bytes()
    # The uncompressed size, wherever it is stated.
    archive.write_bytes(data.replace(len(RECOGNISER).to_bytes(4, "little"), b"\1\0\0\0"))

    assert "not a zip file, or a damaged" in refusal(archive, folder)


def test_a_zip_file_of_very_many_files_is_refused(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MAX_ENTRIES", 1)

    assert "larger than a pack may be" in refusal(archive, folder)


def test_a_folder_that_is_too_large_is_refused(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MAX_BYTES", len(DETECTOR) + len(RECOGNISER) - 1)

    assert "larger than a pack may be" in refusal(source, folder)


def test_models_in_several_folders_are_refused(tmp_path: Path, folder: Path) -> None:
    file = zipped(tmp_path / "two.zip", ("a/det.onnx", DETECTOR), ("b/w.onnx", RECOGNISER))

    assert "install one of the folders" in refusal(file, folder)


@pytest.mark.parametrize("cut", [0, 10, 100])
def test_a_damaged_zip_file_is_refused(archive: Path, folder: Path, cut: int) -> None:
    archive.write_bytes(archive.read_bytes()[:cut])

    assert "not a zip file, or a damaged" in refusal(archive, folder)


def test_an_encrypted_zip_file_is_refused(archive: Path, folder: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)

    assert "encrypted" in refusal(archive, folder)


# From the net.


def test_nothing_is_fetched_without_its_digest(folder: Path) -> None:
    assert "--sha256 gives" in refusal("https://models.example/buffalo.zip", folder)


@pytest.mark.parametrize("url", ["http://models.example/p.zip", "file:///p.zip", "https:///p.zip"])
def test_nothing_is_fetched_but_over_https(folder: Path, url: str) -> None:
    assert "over https alone" in refusal(url, folder, sha256="0" * 64)


@pytest.mark.parametrize(
    "url", ["https://me:secret@models.example/p", "https://models.example/p?k"]
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(folder: Path, url: str) -> None:
    told = refusal(url, folder, sha256="0" * 64)

    assert "a password or a query" in told
    assert url not in told


@pytest.fixture
def site(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a server that has the zip file, and a way from it to what is not https."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            places = {"/there.zip": "/buffalo.zip", "/out.zip": "http://localhost:1/buffalo.zip"}
            if self.path in places:
                self.send_response(302)
                self.send_header("Location", places[self.path])
                self.end_headers()
            elif self.path == "/buffalo.zip":
                self.send_response(200)
                self.send_header("Content-Length", str(archive.stat().st_size))
                self.end_headers()
                self.wfile.write(archive.read_bytes())
            else:
                self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    write_certificate(tmp_path / "tls.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls.pem"))
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def write_certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = dt.datetime.now(dt.UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.mark.parametrize("page", ["buffalo.zip", "there.zip"])
def test_a_pack_is_fetched_over_https(site: str, archive: Path, folder: Path, page: str) -> None:
    told: list[tuple[float, float]] = []
    size = archive.stat().st_size

    pack = packs.install(
        f"{site}/{page}",
        folder=folder,
        sha256=sha256(archive.read_bytes()),
        show=lambda done, total: told.append((done, total)),
    )

    assert contents(pack) == {"det.onnx": DETECTOR, "w.onnx": RECOGNISER}
    assert (pack.name, pack.source) == (page.removesuffix(".zip"), f"{site}/{page}")
    assert told[0] == (size, size)


def test_what_comes_with_another_digest_is_not_unpacked(site: str, folder: Path) -> None:
    told = refusal(f"{site}/buffalo.zip", folder, sha256="0" * 64)

    assert "is not the file that was asked for" in told


def test_a_redirect_to_what_is_not_https_is_not_followed(site: str, folder: Path) -> None:
    assert "which is not https" in refusal(f"{site}/out.zip", folder, sha256="0" * 64)


def test_a_page_that_is_not_there_is_told(site: str, folder: Path) -> None:
    assert "Not Found" in refusal(f"{site}/none.zip", folder, sha256="0" * 64)


def test_a_server_that_cannot_prove_who_it_is_is_refused(
    site: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_certificate(tmp_path / "other.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))

    assert "CERTIFICATE_VERIFY_FAILED" in refusal(f"{site}/buffalo.zip", folder, sha256="0" * 64)


def test_more_than_a_pack_can_have_is_not_fetched(
    site: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MAX_BYTES", 100)

    assert "larger than a pack may be" in refusal(f"{site}/buffalo.zip", folder, sha256="0" * 64)
