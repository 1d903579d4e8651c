"""Settings of matching."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from homeward.core.inventory import INVENTORY
from homeward.matching.sightings.deciding import ReviewRules
from homeward.servicekit.audit.s3_archive import LockMode
from homeward.servicekit.settings import EngineSettings, server_name_field


class MatchingSettings(EngineSettings):
    """Each is the variable `HOMEWARD_` and its name in capitals."""

    embedding_target: str = Field(description="Address of the embedding service.")
    embedding_tls_server_name: str | None = server_name_field("embedding")
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
    audit_bucket: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Bucket under object lock that the audit trail is copied to (docs/audit.md);"
        " made with object lock if it is not there. Unset: it is copied nowhere.",
    )
    audit_lock_mode: LockMode = Field(
        "COMPLIANCE",
        description="How objects of that bucket are locked, for `HOMEWARD_AUDIT_KEPT_DAYS`:"
        " `GOVERNANCE` lets accounts with a right of its own remove them all the same.",
    )
    audit_archive_minutes: float = Field(
        10.0,
        ge=1,
        le=30,
        description="Minutes of the audit trail in an object of that bucket; an object has 5000"
        " events and about 8 MiB at most.",
    )
    audit_s3_endpoint: str | None = Field(
        None, description="URL of the S3 server with that bucket; unset: `HOMEWARD_S3_ENDPOINT`."
    )
    audit_s3_access_key: str | None = Field(
        None,
        description="Name of the S3 account that writes to that bucket; unset: the account of the"
        " other buckets.",
    )
    audit_s3_secret_key: SecretStr | None = Field(
        None, description="Secret of the S3 account that writes to that bucket."
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

    @model_validator(mode="after")
    def _an_archive_of_its_own(self) -> Self:
        if self.audit_bucket in {one.place for one in INVENTORY}:
            raise ValueError("HOMEWARD_AUDIT_BUCKET names a bucket that something else is kept in")
        if (self.audit_s3_access_key is None) != (self.audit_s3_secret_key is None):
            raise ValueError(
                "set both HOMEWARD_AUDIT_S3_ACCESS_KEY and HOMEWARD_AUDIT_S3_SECRET_KEY, or neither"
            )
        if self.audit_s3_endpoint is not None and self.audit_s3_access_key is None:
            raise ValueError(
                "HOMEWARD_AUDIT_S3_ENDPOINT names another server: set"
                " HOMEWARD_AUDIT_S3_ACCESS_KEY and HOMEWARD_AUDIT_S3_SECRET_KEY for it"
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
