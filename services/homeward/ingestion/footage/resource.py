"""All that is done with recordings, as the service offers it."""

from __future__ import annotations

from dataclasses import dataclass

from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.report import RetentionReporter
from homeward.ingestion.footage.uploads import FootageUploads


@dataclass(frozen=True, slots=True)
class FootageResource:
    """The use cases of recordings."""

    uploads: FootageUploads
    library: FootageLibrary
    eraser: FootageEraser
    reporter: RetentionReporter
