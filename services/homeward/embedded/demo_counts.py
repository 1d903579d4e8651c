"""Counting what the engines of a stack hold, by asking the engines themselves."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
from minio import Minio
from nats.js import JetStreamContext
from qdrant_client import QdrantClient

from homeward.core import inventory
from homeward.embedded.environment import given_engines
from homeward.embedded.nats import nats_url
from homeward.embedded.ports import FILE_NAME
from homeward.embedded.running import object_store
from homeward.embedded.secrets import load_secrets
from homeward.ingestion.footage import timeline
from homeward.matching.adapters.engine import connect
from homeward.matching.adapters.qdrant import SIGHTING_KINDS, SUBJECT_KINDS
from homeward.matching.gallery.register import CollectionRecord
from homeward.servicekit import records

PAGE = 500


@dataclass(frozen=True, slots=True)
class EngineCounts:
    """How many things S3 and NATS hold."""

    photographs: int
    stills: int
    recordings: int
    presence: int
    """Objects that tell when and where faces were in a recording, without whose they are."""
    unexpected: int
    """Objects that are none of these, nor a recording's own description."""
    subjects: int
    spans: int
    messages: int
    collections: tuple[str, ...]
    """Of Qdrant, that the stack uses, or has replaced and not yet dropped."""


def count_engines(data: Path, environment: Mapping[str, str] = os.environ) -> EngineCounts:
    """Ask S3 and NATS of a running stack: its own, or those that it was given.

    Args:
        data: The stack's folder.
        environment: The stack's.
    """
    given = given_engines(environment)
    objects = _objects(object_store(data, environment), everything=given.s3 is None)
    streams, collections = asyncio.run(_streams(given.nats or _own_nats(data)))
    photographs = objects.get("homeward-subjects", [])
    stills = objects.get("homeward-evidence", [])
    footage = objects.get("homeward-footage", [])
    recordings = [key for key in footage if key.endswith("/original")]
    beside = (".json", f"/timeline-{timeline.VERSION}.npz")
    known = [key for key in footage if key.startswith("by-sha256/") or key.endswith(beside)]
    presence = [key for key in known if "/presence/" in key or "/incomparable/" in key]
    everything = sum(len(keys) for keys in objects.values())
    return EngineCounts(
        photographs=len(photographs),
        stills=len(stills),
        recordings=len(recordings),
        presence=len(presence),
        unexpected=everything - len(photographs) - len(stills) - len(recordings) - len(known),
        subjects=streams.get("KV_SUBJECTS", 0),
        spans=streams.get("KV_SIGHTINGS", 0),
        messages=streams.get("SCAN_WORK", 0),
        collections=collections,
    )


def count_vectors(
    data: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    collections: Collection[str] | None = None,
) -> Mapping[str, int]:
    """Count the vectors of a stopped stack's Qdrant, or of the server that it was given.

    Args:
        data: The stack's folder.
        environment: The stack's.
        collections: Those of the stack; None for all that there are.

    Returns:
        How many there are of each kind.
    """
    url = given_engines(environment).qdrant
    # One folder takes one process only, so that the stack has to be stopped; a server does not.
    path = Path(environment.get("HOMEWARD_QDRANT_PATH") or data / "qdrant")
    client = connect(url=url, path=path, api_key=environment.get("HOMEWARD_QDRANT_API_KEY") or None)
    counts = dict.fromkeys((*SUBJECT_KINDS, *SIGHTING_KINDS), 0)
    try:
        for collection in client.get_collections().collections:
            if collections is not None and collection.name not in collections:
                continue
            for vector in _vectors(client, collection.name):
                for kind in vector:
                    counts[kind] += 1
    finally:
        client.close()
    return counts


def _vectors(client: QdrantClient, collection: str) -> Iterator[dict[str, Any]]:
    offset: Any = None
    while True:
        points, offset = client.scroll(collection, limit=PAGE, offset=offset, with_vectors=True)
        for point in points:
            assert isinstance(point.vector, dict), "all of them have a kind"
            yield point.vector
        if offset is None:
            return


def _own_nats(data: Path) -> str:
    secrets = load_secrets(data / "secrets", gallery=data / "qdrant")
    ports = json.loads((data / FILE_NAME).read_text())
    return nats_url(port=ports["nats"], token=secrets.nats_token)


def _objects(client: Minio, *, everything: bool) -> dict[str, list[str]]:
    """Return the keys in each bucket: of a server that others may use too, in Homeward's alone."""
    ours = {data.place for data in inventory.INVENTORY if data.engine is inventory.Engine.S3}
    return {
        bucket.name: [
            item.object_name or "" for item in client.list_objects(bucket.name, recursive=True)
        ]
        for bucket in client.list_buckets()
        if everything or bucket.name in ours
    }


async def _streams(url: str) -> tuple[dict[str, int], tuple[str, ...]]:
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream()
        infos = await jetstream.streams_info()
        collections = await _collections(jetstream)
    finally:
        await client.close()
    return {str(info.config.name): info.state.messages for info in infos}, collections


async def _collections(jetstream: JetStreamContext) -> tuple[str, ...]:
    bucket = await jetstream.key_value(inventory.GALLERIES.place)
    named: list[str] = []
    for place in (inventory.REFERENCES.place, inventory.SIGHTINGS.place):
        value = (await bucket.get(place)).value
        record = records.decode(value or b"", CollectionRecord)
        named += [record.collection, *record.retired]
        named += [record.next.collection] if record.next else []
    return tuple(named)
