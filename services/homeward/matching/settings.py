"""Settings of matching."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from homeward.matching.sightings.deciding import ReviewRules
from homeward.servicekit.settings import EngineSettings


class MatchingSettings(EngineSettings):
    """Each is the variable `HOMEWARD_` and its name in capitals."""

    embedding_target: str = Field(description="Address of the embedding service.")
    qdrant_url: str | None = Field(
        None,
        description="URL of a Qdrant server's REST interface. A URL without a port means 443 of"
        " https, and 6333 of http.",
    )
    qdrant_api_key: SecretStr | None = Field(
        None, description="Key that the Qdrant server asks for; over https alone."
    )
    qdrant_path: Path | None = Field(
        None, description="Folder of Qdrant's local mode, when there is no `qdrant_url`."
    )
    gallery_key_file: Path = Field(
        description="File with the gallery key: 64 hexadecimal digits. Whoever loses it must enrol"
        " everybody again."
    )
    audit_key_file: Path | None = Field(
        None,
        description="PEM file with the Ed25519 key that checkpoints of the audit trail are signed"
        " with, as `openssl genpkey -algorithm ed25519` writes it; unset gives none.",
    )
    evaluation: bool = Field(
        default=False,
        description="Evaluation mode: candidates may be chosen by a policy that nobody has"
        " approved, or that has expired, and say so. To try Homeward out; never in an enquiry.",
    )
    s3_frees_minutes: float | None = Field(
        None,
        ge=1,
        le=31 * 24 * 60,
        description="Minutes within which the S3 server frees the bytes of an object that was"
        " deleted: 15 for MinIO, 1440 for Ceph, each with its defaults. Certificates say `pending`"
        " until then, and without end if it is not set.",
    )
    review_grace_days: float = Field(
        7.0,
        ge=0,
        le=31,
        description="Days after its review date after which a subject that nobody has reviewed is"
        " closed, and its data erased.",
    )
    two_reviewers: bool = Field(
        default=False,
        description="Whether a sighting is confirmed by two people instead of one. Switch it on"
        " once every replica has this version of Homeward.",
    )
    separate_reviewers: bool = Field(
        default=False,
        description="Whether those who asked for a search may not confirm what it found. Needs"
        " HOMEWARD_AUTH_FILE here and for ingestion: without, nobody knows who asks.",
    )
    sweep_interval_seconds: float = Field(
        600.0,
        gt=0,
        le=86400,
        description="How often what is due is removed, and files that hold bytes of what was"
        " removed are rebuilt.",
    )

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if not (self.qdrant_url or self.qdrant_path):
            raise ValueError("set HOMEWARD_QDRANT_URL or HOMEWARD_QDRANT_PATH")
        if self.qdrant_api_key and not (self.qdrant_url or "").startswith("https://"):
            raise ValueError(
                "HOMEWARD_QDRANT_API_KEY would go over the wire as it is: make HOMEWARD_QDRANT_URL"
                " one of https"
            )
        return self

    def review_rules(self) -> ReviewRules:
        """Return what is asked of those who review sightings."""
        return ReviewRules(self.two_reviewers, self.separate_reviewers)

    def frees_after(self) -> timedelta | None:
        """Return `s3_frees_minutes` as a span."""
        return None if self.s3_frees_minutes is None else timedelta(minutes=self.s3_frees_minutes)

    def gallery_key(self) -> bytes:
        """Read the gallery key.

        Raises:
            ValueError: The file does not hold 64 hexadecimal digits.
        """
        return bytes.fromhex(self.gallery_key_file.read_text().strip())
