"""Settings of ingestion, in both of its roles."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from homeward.servicekit.settings import EngineSettings


class IngestionSettings(EngineSettings):
    """Each is the variable `HOMEWARD_` and its name in capitals."""

    matching_target: str = Field(description="Address of the matching service.")
    min_footage_age_seconds: float = Field(
        900.0,
        ge=900,
        description="Footage must have ended this long ago: Homeward never searches live video.",
    )
    segment_seconds: float = Field(
        120.0, ge=10, le=3600, description="Length of the pieces that scanners work on."
    )

    @property
    def min_footage_age(self) -> timedelta:
        """Least age of footage."""
        return timedelta(seconds=self.min_footage_age_seconds)


class ScannerSettings(IngestionSettings):
    """Of the scanner role."""

    embedding_target: str = Field(description="Address of the embedding service.")
    sample_rate: float = Field(
        5.0, ge=0.5, le=30, description="Pictures looked at per second of footage."
    )
    decoder_threads: int = Field(
        0, ge=0, le=64, description="Threads of the video decoder; 0 lets it choose."
    )
