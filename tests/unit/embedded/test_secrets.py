from __future__ import annotations

from pathlib import Path

import pytest

from homeward.embedded.errors import StackError
from homeward.embedded.secrets import load_secrets


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    first = load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")
    second = load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")

    assert first == second


def test_two_stacks_share_no_secret(tmp_path: Path) -> None:
    one = load_secrets(tmp_path / "one", gallery=tmp_path / "qdrant")
    two = load_secrets(tmp_path / "two", gallery=tmp_path / "qdrant")

    assert {one.s3_access_key, one.s3_secret_key, one.nats_token}.isdisjoint(
        {two.s3_access_key, two.s3_secret_key, two.nats_token}
    )


def test_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")

    assert mode(tmp_path / "secrets") == "0o700"
    assert {mode(path) for path in (tmp_path / "secrets").iterdir()} == {"0o600"}


def test_a_restored_secret_is_closed_to_others_again(tmp_path: Path) -> None:
    load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")
    (tmp_path / "secrets" / "nats-token").chmod(0o644)

    load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")

    assert mode(tmp_path / "secrets" / "nats-token") == "0o600"


def test_the_gallery_key_is_32_bytes_in_hexadecimal(tmp_path: Path) -> None:
    secrets = load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")

    assert len(bytes.fromhex(secrets.gallery_key_file.read_text().strip())) == 32


def test_a_gallery_without_its_key_gets_no_new_one(tmp_path: Path) -> None:
    (tmp_path / "qdrant").mkdir()
    (tmp_path / "qdrant" / "meta.json").touch()

    with pytest.raises(StackError, match=r"gallery\.key is missing"):
        load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")

    assert not (tmp_path / "secrets" / "gallery.key").exists()


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")
    (tmp_path / "secrets" / "s3-secret-key").write_text("")

    with pytest.raises(StackError, match="s3-secret-key is empty"):
        load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")


def test_secrets_do_not_show_in_a_representation(tmp_path: Path) -> None:
    secrets = load_secrets(tmp_path / "secrets", gallery=tmp_path / "qdrant")

    assert secrets.nats_token not in repr(secrets)
