"""Files that TLS cannot be spoken with are refused by name, and new ones are taken in use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authority import CLIENT, DAY, Authority
from homeward.core.tls import VARIABLES, Rotation, TlsError, TlsFiles


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return Authority().write(tmp_path / "tls")


def encrypt(files: TlsFiles) -> None:
    files.key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


def refusal(files: TlsFiles) -> str:
    with pytest.raises(TlsError) as refused:
        files.read()
    return str(refused.value)


def test_files_that_fit_together_are_read(files: TlsFiles) -> None:
    material = files.read()

    assert material.certificates == files.certificate.read_bytes()
    assert material.key == files.key.read_bytes()
    assert material.authorities == files.authority.read_bytes()


@pytest.mark.parametrize("which", ["certificate", "key", "authority"])
def test_a_file_that_cannot_be_read_is_named(files: TlsFiles, which: str) -> None:
    path = getattr(files, which)
    path.unlink()

    assert refusal(files) == f"{path} cannot be read: No such file or directory"


@pytest.mark.parametrize("which", ["certificate", "key", "authority"])
def test_a_file_that_is_no_pem_is_named(files: TlsFiles, which: str) -> None:
    path = getattr(files, which)
    path.write_text("nothing of the kind")

    assert str(path) in refusal(files)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda files: files.key.write_bytes(
                Authority().write(files.key.parent / "other").key.read_bytes()
            ),
            "tls.crt and {folder}/tls.key are no certificate and its key: KEY_VALUES_MISMATCH",
        ),
        (encrypt, "tls.key are no certificate and its key: it is encrypted"),
        (
            lambda files: Authority().write(files.key.parent, expires=-DAY),
            "tls.crt is refused with {folder}/ca.crt: certificate has expired",
        ),
        (
            lambda files: files.authority.write_bytes(
                Authority("another").write(files.key.parent / "other").authority.read_bytes()
            ),
            "tls.crt is refused with {folder}/ca.crt: unable to get local issuer certificate",
        ),
    ],
    ids=["of another key", "encrypted", "expired", "of another authority"],
)
def test_files_that_do_not_serve_are_refused(
    files: TlsFiles, spoil: Callable[[TlsFiles], object], why: str
) -> None:
    spoil(files)

    assert why.format(folder=files.key.parent) in refusal(files)


def test_a_certificate_for_clients_does_not_serve_a_server(tmp_path: Path) -> None:
    files = Authority().write(tmp_path, usage=(CLIENT,))

    assert "unsuitable certificate purpose" in refusal(files)
    assert files.read(serving=False).key


def test_no_setting_at_all_is_plain_text() -> None:
    assert TlsFiles.among({}) is None


@pytest.mark.parametrize("missing", VARIABLES)
def test_some_settings_without_the_others_are_refused(missing: str) -> None:
    given = {name: "/etc/tls" for name in VARIABLES if name != missing}

    with pytest.raises(TlsError, match=f"set {missing} too, or none of them"):
        TlsFiles.among(given)


def test_material_changes_with_its_files(files: TlsFiles) -> None:
    problems: list[TlsError] = []
    rotation = Rotation(files, problems.append)
    before = rotation.material
    unchanged = rotation.changed()
    Authority().write(files.key.parent)

    assert (unchanged, rotation.changed(), rotation.changed()) == (False, True, False)
    assert rotation.material == files.read() != before
    assert problems == []


def test_files_that_do_not_fit_leave_the_material_as_it_was(files: TlsFiles) -> None:
    problems: list[TlsError] = []
    rotation = Rotation(files, problems.append)
    before, certificate = rotation.material, files.certificate.read_bytes()
    files.certificate.write_text("half of it")
    spoiled = rotation.changed()
    during = rotation.material
    files.certificate.write_bytes(certificate)

    assert (spoiled, during, len(problems)) == (False, before, 1)
    assert rotation.changed()
