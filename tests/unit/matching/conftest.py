from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from matching_stores import InMemoryBuckets, in_memory
from matching_values import MODEL, SIZE, unit_vector

from homeward.core import policies
from homeward.matching.adapters.memory import (
    InMemorySightingIndex,
    InMemorySubjectIndex,
)
from homeward.matching.adapters.memory_feed import InMemorySightingFeed
from homeward.matching.adapters.sighting_ledger import KeyValueSightingLedger
from homeward.matching.adapters.subject_records import KeyValueSubjectRecords
from homeward.matching.composition import Choices, UseCases, compose
from homeward.matching.gallery.model import Box, ModelInfo, PhotoAnalysis, Template
from homeward.matching.sightings.model import Finding, Sighting
from homeward.matching.subjects.model import AgeGroup, SubjectDetails
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.objects import InMemoryObjectStore


class FakeFaceAnalyzer:
    """Takes every photograph but those that it was told to refuse."""

    def __init__(self) -> None:
        self.refused: dict[bytes, tuple[str, ...]] = {}
        self.meanwhile: Callable[[], Any] | None = None
        """Something that happens while a photograph is judged."""

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        if self.meanwhile:
            happens, self.meanwhile = self.meanwhile, None
            await happens()
        problems = self.refused.get(photo, ())
        seed = int.from_bytes(hashlib.sha256(photo).digest()[:4])
        return PhotoAnalysis(
            problems=problems,
            box=None if problems else Box(10, 20, 30, 40),
            quality=0.75,
            template=None if problems else Template(unit_vector(seed), MODEL),
        )

    async def model(self) -> ModelInfo:
        return ModelInfo("yunet-sface", MODEL, SIZE)


@dataclass
class Matching:
    """The use cases, and the fakes behind them."""

    clock: Clock
    records: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    ledger: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    gallery: InMemorySubjectIndex = field(default_factory=partial(InMemorySubjectIndex, MODEL))
    index: InMemorySightingIndex = field(default_factory=partial(InMemorySightingIndex, MODEL))
    feed: InMemorySightingFeed = field(default_factory=InMemorySightingFeed)
    faces: FakeFaceAnalyzer = field(default_factory=FakeFaceAnalyzer)
    leases: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)
    erasures: InMemoryKeyValueStore = field(default_factory=InMemoryKeyValueStore)

    def __post_init__(self) -> None:
        self.photos, self.evidence = (
            InMemoryObjectStore(self.clock),
            InMemoryObjectStore(self.clock),
        )
        self.buckets = InMemoryBuckets(self.photos, self.evidence)
        self.restart()

    def restart(self, **choices: Any) -> None:
        """Begin anew with what is stored, and with other choices."""
        self.stores = in_memory(
            records=KeyValueSubjectRecords(self.records),
            ledger=KeyValueSightingLedger(self.ledger),
            erasures=self.erasures,
            leases=self.leases,
            photos=self.photos,
            evidence=self.evidence,
            buckets=self.buckets,
            faces=self.faces,
            gallery=self.gallery,
            index=self.index,
            feed=self.feed,
        )
        self.does = compose(self.stores, Choices(shipped=policies.shipped(), **choices), self.clock)

    def __getattr__(self, name: str) -> Any:
        """Return a use case."""
        if name not in UseCases.__dataclass_fields__:
            raise AttributeError(name)
        return getattr(self.does, name)

    @property
    def problems(self) -> list[str]:
        """What keeps the object store from forgetting."""
        return self.buckets.problems

    async def everything(self) -> Mapping[str, int]:
        """Return how much each store holds."""
        return {
            "records": len(await self.records.entries()),
            "ledger": len(await self.ledger.entries()),
            "photos": len(await self.photos.objects("")),
            "evidence": len(await self.evidence.objects("")),
            "gallery": await self.gallery.count(),
            "sightings": await self.index.count(),
        }


@pytest.fixture
def matching(clock: Clock) -> Matching:
    return Matching(clock)


@pytest.fixture
def details(clock: Clock) -> SubjectDetails:
    return SubjectDetails(
        case_reference="MP-2026-17",
        label="Anna Example",
        age_group=AgeGroup.CHILD,
        legal_basis="vital interests",
        authorised_by="DI Example",
        review_time=clock.now() + timedelta(days=90),
    )


@pytest.fixture
async def subject_id(matching: Matching, details: SubjectDetails) -> str:
    """An open subject."""
    created = await matching.subjects.create(details, request_id="first")
    return created.value.subject_id


@pytest.fixture
def finding(subject_id: str, clock: Clock) -> Callable[..., Finding]:
    """Makes findings: of the subject, in one recording, from one second to another."""

    def make(
        start: float = 10,
        end: float = 14,
        *,
        score: float = 0.5,
        seed: int = 1,
        still: bytes = b"a still",
        received: datetime | None = None,
        **changes: Any,
    ) -> Finding:
        begin: datetime = clock.now() - timedelta(hours=3)
        sighting = Sighting(
            sighting_id="",
            subject_id=subject_id,
            photo_id="00000000-0000-4000-8000-000000000001",
            footage_id="footage-1",
            camera_id="camera-1",
            scan_id="00000000-0000-4000-8000-000000000002",
            start_time=begin + timedelta(seconds=start),
            end_time=begin + timedelta(seconds=end),
            best_shot_time=begin + timedelta(seconds=start),
            start_offset=timedelta(seconds=start),
            end_offset=timedelta(seconds=end),
            best_shot_offset=timedelta(seconds=start),
            score=score,
            best_shot_score=None,
            threshold=0.45,
            policy_id="yunet-sface/provisional-0.45",
            model_digest=MODEL,
            face_height_px=64.0,
            create_time=clock.now(),
            delete_time=clock.now() + timedelta(days=30),
        )
        template = Template(unit_vector(seed), MODEL)
        return Finding(replace(sighting, **changes), template, (still,), received=received)

    return make
