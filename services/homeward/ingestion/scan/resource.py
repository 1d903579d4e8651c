"""What can be done with scans: the use cases of the resource, together."""

from __future__ import annotations

from dataclasses import dataclass

from homeward.ingestion.scan.authorising import ScanAuthorising
from homeward.ingestion.scan.scans import Scans
from homeward.ingestion.scan.stretches import IncomparableStretches
from homeward.ingestion.scan.use_records import UseRecords


@dataclass(frozen=True, slots=True)
class ScanResource:
    """The use cases of scans."""

    scans: Scans
    authorising: ScanAuthorising
    stretches: IncomparableStretches
    records: UseRecords
