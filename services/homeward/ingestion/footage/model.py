"""Recordings, uploads and their records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from homeward.ingestion.footage.layout import footage_id_of
from homeward.ingestion.footage.media import MediaInfo


@dataclass(frozen=True, slots=True)
class FootageHeader:
    """What an uploader states about a recording."""

    camera_id: str
    file_name: str
    start_time: datetime
    """By the camera's clock."""
    size_bytes: int
    sha256: str

    @property
    def footage_id(self) -> str:
        """The id of this recording: camera, start and content, so that it is always the same."""
        return footage_id_of(self.camera_id, self.start_time, self.sha256)


@dataclass(frozen=True, slots=True)
class Footage:
    """A finished recording of one camera."""

    footage_id: str
    header: FootageHeader
    media: MediaInfo
    receive_time: datetime
    delete_time: datetime

    @property
    def end_time(self) -> datetime:
        """When the recording ends, by the camera's clock."""
        return self.header.start_time + self.media.duration


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way: its header, and where its bytes go."""

    header: FootageHeader
    create_time: datetime
    """When its first byte may have come: the 31 days count from here."""
    multipart_id: str | None
    """Id of the store's multipart upload; None for an upload by URL."""
    staging: str = ""
    """Key that the URL writes to. Empty for an upload by gRPC, and for one by URL that an earlier
    version began: its URL writes to the recording's own key, and it has to be begun again."""
    admissions: tuple[str, ...] = ()
    """Multipart uploads by which a staged file is copied to its recording's key."""
    done: bool = False
    """Whether an upload by URL has become footage: kept to answer a repeated call."""


@dataclass(frozen=True, slots=True)
class FootageErasure:
    """Record that a recording was removed; nothing about what it showed."""

    footage_id: str
    receive_time: datetime
    delete_time: datetime
    begin_time: datetime
    erase_time: datetime | None = None
    """When the store confirmed for every object that it is gone; None while that is under way."""
    by_store: bool = False
    """Whether the store had removed it, or its file, by itself before that."""


@dataclass(frozen=True, slots=True)
class HeldFootage:
    """Record that there is a recording, beside the store, which may remove one by itself."""

    footage_id: str
    receive_time: datetime
    delete_time: datetime
    sha256: str = ""
    """Of its file; "" in a record that an earlier version wrote."""
    end_time: datetime | None = None
    """When it ends by the camera's clock, or later than that; None when that is not known."""
