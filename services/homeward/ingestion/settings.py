"""Settings of ingestion, in both of its roles."""

from __future__ import annotations

import os
from datetime import timedelta

from pydantic import Field

from homeward.core.inventory import FOOTAGE_LIMIT, backstop_days, swept_after
from homeward.ingestion.footage.receiving import LeastProgress
from homeward.ingestion.scan.authorisation import ScanRules
from homeward.ingestion.scan.scans import ScanLimits
from homeward.servicekit.settings import EngineSettings, server_name_field


class IngestionSettings(EngineSettings):
    """Each is the variable `HOMEWARD_` and its name in capitals."""

    matching_target: str = Field(description="Address of the matching service.")
    matching_tls_server_name: str | None = server_name_field("matching")
    min_footage_age_seconds: float = Field(
        900.0,
        ge=900,
        description="Footage must have ended this long ago: Homeward never searches live video.",
    )
    footage_keep_days: float = Field(
        FOOTAGE_LIMIT / timedelta(days=1),
        gt=0,
        le=FOOTAGE_LIMIT / timedelta(days=1),
        description="Most days from its first byte for which a recording may be read. The sweeper"
        " removes it after 27¾ days, or after 30/31 of a shorter time, and the store itself only"
        " afterwards (docs/retention.md).",
    )
    sweep_interval_seconds: float = Field(
        600.0, gt=0, le=3600, description="How often the sweeper looks for what is due."
    )
    concurrent_uploads: int = Field(
        16,
        ge=1,
        le=1000,
        description="Most recordings that a replica takes in at a time; each holds 8 MiB in memory,"
        " or 16 while one that was put to a URL is checked. Further ones are refused (`QUEUE_FULL`)"
        " and told when to try again.",
    )
    upload_idle_seconds: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="After which an upload ends of which nothing comes, or less than"
        " HOMEWARD_UPLOAD_LEAST_BYTES; what had come is kept, and it can go on from there. Time in"
        " which the service does not wait for the uploader does not count.",
    )
    upload_least_bytes: int = Field(
        64 * 1024,
        ge=1,
        le=1024**3,
        description="What must come of an upload in each HOMEWARD_UPLOAD_IDLE_SECONDS, so that slow"
        " ones do not take the places of others.",
    )
    segment_seconds: float = Field(
        60.0,
        ge=10,
        le=3600,
        description="Length of the pieces that scanners work on; up to an hour where pictures or "
        "key pictures are rare.",
    )

    embedding_target: str | None = Field(
        None,
        description="Address of the embedding service, which clips of sightings need. Unset: no"
        " clip is made.",
    )
    concurrent_clips: int = Field(
        1,
        ge=1,
        le=16,
        description="Clips that a replica makes at a time; each takes up to 0.6 GB of memory at"
        " 1080p, and two cores. Further ones are refused (`QUEUE_FULL`).",
    )

    max_scans: int = Field(
        100,
        ge=1,
        le=1000,
        description="Scans that may be under way at a time; another one is refused until one has"
        " ended or was cancelled. They take turns at the scanners.",
    )
    max_scans_per_caller: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Of these, those that one caller may have under way, where callers are checked."
        " Unset: as many as all together.",
    )
    max_scan_segments_per_caller: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="Segments that may wait of one caller's scans when they create another one."
        " Unset: as many as of all together.",
    )
    targeted_scans: bool = Field(
        default=True,
        description="Refuse a scan that does not name subjects, and recordings or cameras and a"
        " start, unless it says why it has to search everything. The embedded stack's evaluation"
        " mode switches it off.",
    )
    scan_authorisation_hours: float | None = Field(
        None,
        gt=0,
        le=168,
        description="Hours within which somebody must authorise a scan. One that nobody has"
        " authorised by then is refused: it is stopped, and what it found is erased. Unset: none"
        " has to be authorised. Set it once every replica and scanner has this version: an earlier"
        " one drops what it does not know of a scan.",
    )
    authorise_own_scans: bool = Field(
        default=False,
        description="Whether somebody may authorise a scan that they asked for themselves.",
    )
    max_scan_segments: int = Field(
        2_000_000,
        ge=1,
        le=100_000_000,
        description="Segments of these that may wait to be searched when another scan is created,"
        " which is refused otherwise. A day of 500 cameras is 720,000.",
    )

    @property
    def scan_rules(self) -> ScanRules:
        """What is asked of those who create and authorise scans."""
        hours = self.scan_authorisation_hours
        return ScanRules(
            targeted=self.targeted_scans,
            authorised_within=None if hours is None else timedelta(hours=hours),
            own_scans=self.authorise_own_scans,
        )

    @property
    def min_footage_age(self) -> timedelta:
        """Least age of footage."""
        return timedelta(seconds=self.min_footage_age_seconds)

    @property
    def least_progress(self) -> LeastProgress:
        """What must come of an upload."""
        return LeastProgress(timedelta(seconds=self.upload_idle_seconds), self.upload_least_bytes)

    @property
    def scan_limits(self) -> ScanLimits:
        """What may be searched at a time."""
        return ScanLimits(
            scans=self.max_scans,
            segments=self.max_scan_segments,
            scans_per_caller=self.max_scans_per_caller,
            segments_per_caller=self.max_scan_segments_per_caller,
        )

    @property
    def footage_keep(self) -> timedelta:
        """How long a recording may be read, from its first byte."""
        return timedelta(days=self.footage_keep_days)

    @property
    def swept_ahead(self) -> timedelta:
        """How long before its deadline a recording is removed."""
        return self.footage_keep - swept_after(self.footage_keep)

    @property
    def backstop_days(self) -> int:
        """Days after which the store itself removes a recording."""
        return backstop_days(self.footage_keep)


class ScannerSettings(IngestionSettings):
    """Of the scanner role."""

    embedding_target: str = Field(description="Address of the embedding service.")
    embedding_tls_server_name: str | None = server_name_field("embedding")
    sample_rate: float = Field(
        5.0, ge=0.5, le=30, description="Pictures looked at per second of footage."
    )
    scanner_segments: int = Field(
        2,
        ge=1,
        le=16,
        description="Segments that a scanner searches at a time: while one begins or ends, the "
        "other keeps the cores busy.",
    )
    decoders: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=64,
        description="Threads that decode. In a container, set it to the CPU limit.",
    )
    gate: bool = Field(
        default=True,
        description="Decode only where packets or key pictures tell of somebody. Off: everything, "
        "which takes several times as long and is for measuring what the gate loses.",
    )
    presence_index: bool = Field(
        default=True,
        description="Use, and write, where faces were found, so that a search for somebody else "
        "need not find them again.",
    )
