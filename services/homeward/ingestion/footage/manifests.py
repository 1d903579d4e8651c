"""Manifests of recordings: what is written beside the file of each, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from homeward.ingestion.footage.media import MediaInfo
from homeward.ingestion.footage.model import Footage, FootageHeader
from homeward.servicekit import records


@dataclass(frozen=True, slots=True)
class _Manifest:
    """A recording as it is written. Its fields keep their names: held recordings have them."""

    footage_id: str
    header: FootageHeader
    probe: MediaInfo
    receive_time: datetime
    delete_time: datetime


def encode_manifest(footage: Footage) -> bytes:
    """Return the manifest of a recording."""
    return records.encode(
        _Manifest(
            footage.footage_id,
            footage.header,
            footage.media,
            footage.receive_time,
            footage.delete_time,
        )
    )


def decode_manifest(data: bytes) -> Footage:
    """Return the recording that a manifest describes.

    Raises:
        msgspec.DecodeError: The bytes are no manifest.
    """
    held = records.decode(data, _Manifest)
    return Footage(held.footage_id, held.header, held.probe, held.receive_time, held.delete_time)
