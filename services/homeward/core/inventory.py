"""What Homeward stores, where, and for how long: the one place that says so.

Buckets, lifecycle rules, limits of key-value stores and streams, the table in `docs/retention.md`
and the retention report are made from this.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

FOOTAGE_LIMIT = timedelta(days=31)
"""No recording is older, counted from its first byte. A force may set less, never more."""

ABANDONED_AFTER = timedelta(days=1)
"""An upload that is not done this long after its first byte is not completed any more, and removed
with all that came of it."""

COMES_BY = timedelta(days=1)
"""What a store is given to come by and remove what is due by its lifecycle rules."""

BACKSTOP_DAYS = (FOOTAGE_LIMIT - ABANDONED_AFTER - timedelta(days=1) - COMES_BY).days
"""Of the store's own lifecycle rules, at most. Their days begin when the store says that the object
was written, which is at the end of an upload, up to a day after its first byte. S3 rounds up to the
next midnight UTC, another day at most, and removes when it comes by."""

SWEPT_BEFORE_BACKSTOP = timedelta(hours=6)
"""How long before the store may remove a recording by itself the sweeper does, at least: a removal
by the store is written down too, but later, and nobody has asked it whether all is gone."""


def backstop_days(keep: timedelta) -> int:
    """Return the days of the store's own rule for recordings that may be read for `keep`.

    It is never before the sweep, and within 31 days of a recording's first byte by whatever is
    said in `BACKSTOP_DAYS`; with less to keep, it is up to three days after the deadline, when
    nothing reads the recording any more.
    """
    return min(BACKSTOP_DAYS, ceil(keep / timedelta(days=1)))


def swept_after(keep: timedelta) -> timedelta:
    """Return how long after its first byte the sweeper removes a recording.

    Args:
        keep: How long it may be read.
    """
    first_removal = timedelta(days=backstop_days(keep))  # of a store that rounds nothing up
    return min(keep * 30 / 31, first_removal - SWEPT_BEFORE_BACKSTOP)


def backstop_time(receive_time: datetime, delete_time: datetime) -> datetime:
    """Return when the store itself is to remove what goes with a recording, however old it is.

    Args:
        receive_time: When the recording's first byte came.
        delete_time: Its deadline.
    """
    return min(delete_time, receive_time + timedelta(days=BACKSTOP_DAYS))


RECORD_LIMIT = FOOTAGE_LIMIT
"""Of what is about recordings, such as scans and the spans that have a sighting."""

CERTIFICATES_KEPT = timedelta(days=6 * 365)
"""As long as an audit may ask. Nothing in them is about a person, but that there was one."""

AUDIT_KEPT = timedelta(days=6 * 365)
"""By policy; `HOMEWARD_AUDIT_KEPT_DAYS` sets another span."""


class Engine(StrEnum):
    """What holds data."""

    S3 = "S3"
    LOCKED_S3 = "S3 under object lock"
    KEY_VALUE = "NATS KV"
    STREAM = "NATS stream"
    QDRANT = "Qdrant"
    MEMORY = "process memory"


@dataclass(frozen=True, slots=True)
class DataClass:
    """One kind of data, with where it is and when it goes."""

    name: str
    """Short, and the same in the report, in certificates and in the docs."""
    holds: str
    """What is in it."""
    owner: str
    """The service that writes and removes it."""
    engine: Engine
    place: str = ""
    """Bucket, stream or collection."""
    keys: str = ""
    """Form of the keys."""
    kept: str = ""
    """For how long, in words."""
    removed_by: str = ""
    limit: timedelta | None = None
    """Older than this is overdue; None when its end is no matter of age alone."""
    engine_limit: timedelta | None = None
    """After this the engine removes it by itself, whatever we do."""


@dataclass(frozen=True, slots=True)
class HeldData:
    """How much of one kind of data there is."""

    name: str
    """Of its `DataClass`."""
    count: int
    size_bytes: int | None = None
    oldest: datetime | None = None
    """When the oldest came."""
    overdue: int = 0


FOOTAGE = DataClass(
    name="footage",
    holds="the recording, its manifest, when its pictures are shown and where they are in the file,"
    " a pointer by its digest",
    owner="ingestion",
    engine=Engine.S3,
    place="homeward-footage",
    keys="footage/{camera}/{yyyy}/{mm}/{dd}/{footage_id}/…, by-sha256/…",
    kept="31 days from its first byte at most; unreadable after its deadline",
    removed_by="the sweeper 27¾ days after its first byte, `DeleteFootage`, a lifecycle rule",
    limit=FOOTAGE_LIMIT,
    engine_limit=timedelta(days=BACKSTOP_DAYS),
)
PRESENCE = DataClass(
    name="presence index",
    holds="times and boxes where some face was seen, how wide it was at most, how well it shows;"
    " what was searched; no picture, no landmark, no template",
    owner="ingestion",
    engine=Engine.S3,
    place=FOOTAGE.place,
    keys="…/{footage_id}/presence/…",
    kept="with its recording",
    removed_by="with its recording; a lifecycle rule for the day on which that goes",
    limit=FOOTAGE_LIMIT,
    engine_limit=FOOTAGE.engine_limit,
)
INCOMPARABLE = DataClass(
    name="times without comparison",
    holds="when somebody was in view, in a scan, whose face could not be compared, and whether it"
    " was too small; no box, no picture",
    owner="ingestion",
    engine=Engine.S3,
    place=FOOTAGE.place,
    keys="…/{footage_id}/incomparable/…",
    kept="with its recording",
    removed_by="with its recording; a lifecycle rule for the day on which that goes",
    limit=FOOTAGE_LIMIT,
    engine_limit=FOOTAGE.engine_limit,
)
CAMERAS = DataClass(
    name="cameras",
    holds="name, place, clock offset, authority; no personal data",
    owner="ingestion",
    engine=Engine.KEY_VALUE,
    place="CAMERAS",
    keys="{camera_id}",
    kept="until removed",
    removed_by="an operator",
)
UPLOADS = DataClass(
    name="uploads under way",
    holds="what was announced, and the store's id of the parts that came, beside which the bucket"
    " has what came after the last whole one; of uploads by URL also those that were done",
    owner="ingestion",
    engine=Engine.KEY_VALUE,
    place="UPLOADS",
    keys="{request_id}",
    kept="until done, or a day after they began",
    removed_by="the end of the upload, the sweeper with the parts that came",
    limit=2 * ABANDONED_AFTER,
)
STAGED = DataClass(
    name="staged files",
    holds="a recording that came by URL and is not checked yet; nothing reads it but that check",
    owner="ingestion",
    engine=Engine.S3,
    place=FOOTAGE.place,
    keys="staging/…",
    kept="until done, a day at most",
    removed_by="the end of the upload, the sweeper by the record of the upload, a lifecycle rule",
    limit=2 * ABANDONED_AFTER,
)
UNCLAIMED = DataClass(
    name="unclaimed objects",
    holds="what belongs to no recording and no upload: left by what broke off, put to the URL of an"
    " upload that is done, or somebody else's",
    owner="ingestion",
    engine=Engine.S3,
    place=FOOTAGE.place,
    keys="anything",
    kept="under `staging/` until the next sweep, beside recordings a day; of elsewhere this tells",
    removed_by="the sweeper, a lifecycle rule",
    limit=2 * ABANDONED_AFTER,
)
SCANS = DataClass(
    name="scans",
    holds="scope, why it was made, who asked for it, who authorised or refused it and why; progress"
    " and coverage, how many faces were how wide; of what was found, how much it is and the ids of"
    " the sightings, beside no camera, recording or time",
    owner="ingestion",
    engine=Engine.KEY_VALUE,
    place="SCANS",
    keys="scan.{scan_id}, open.{scan_id}, undecided.{scan_id}, recording.{scan_id}.…,"
    " live.{scan_id}.…",
    kept="31 days",
    removed_by="NATS, by age",
    limit=RECORD_LIMIT,
    engine_limit=RECORD_LIMIT,
)
SCAN_WORK = DataClass(
    name="scan work",
    holds="scan id and numbers of a recording and a segment in it",
    owner="ingestion",
    engine=Engine.STREAM,
    place="SCAN_WORK",
    kept="until done, 31 days at most",
    removed_by="NATS, when done and by age",
    limit=RECORD_LIMIT,
    engine_limit=RECORD_LIMIT,
)
SCAN_PLANS = DataClass(
    name="scan plans",
    holds="ids of scans that are not planned yet",
    owner="ingestion",
    engine=Engine.STREAM,
    place="SCAN_PLANS",
    kept="until planned, 31 days at most",
    removed_by="NATS, when planned and by age",
    limit=RECORD_LIMIT,
    engine_limit=RECORD_LIMIT,
)
FACES = DataClass(
    name="unmatched faces",
    holds="crops and templates of everybody in view",
    owner="ingestion",
    engine=Engine.MEMORY,
    kept="until the match answer; boxes of faces until a clip is made",
    removed_by="the end of a batch, or of the clip",
)
SUBJECTS = DataClass(
    name="subjects",
    holds="case, label, legal basis, authoriser, review date",
    owner="matching",
    engine=Engine.KEY_VALUE,
    place="SUBJECTS",
    keys="open.{subject_id}, closed.{subject_id}",
    kept="while open; a closed one is an id and a date",
    removed_by="close, erase, the review date; the message itself is overwritten",
)
PHOTOGRAPHS = DataClass(
    name="reference photographs",
    holds="photographs of the people who are looked for",
    owner="matching",
    engine=Engine.S3,
    place="homeward-subjects",
    keys="subjects/{subject_id}/{photo_id}",
    kept="while the subject is open",
    removed_by="close, erase, the review date",
)
REFERENCES = DataClass(
    name="reference templates",
    holds="keyed templates of the photographs, and of each subject their mean",
    owner="matching",
    engine=Engine.QDRANT,
    place="subjects",
    kept="while the subject is open",
    removed_by="close, erase, the review date; then a rebuild under another key",
)
SIGHTINGS = DataClass(
    name="sightings",
    holds="who, where, when and whether that is certain, how alike, who asked for the search and"
    " who decided; the keyed template of the appearance",
    owner="matching",
    engine=Engine.QDRANT,
    place="sightings",
    kept="unreviewed, or confirmed by one where two must: with their footage; rejected: not at"
    " all; confirmed: with the subject",
    removed_by="review, the sweeper, close, erase, the refusal of a scan; then a rebuild under"
    " another key",
)
STILLS = DataClass(
    name="stills",
    holds="up to six pictures of the sighting, everybody else unrecognisable",
    owner="matching",
    engine=Engine.S3,
    place="homeward-evidence",
    keys="pending/…, confirmed/…",
    kept="as their sighting",
    removed_by="as their sighting; of those in `pending/` a lifecycle rule for the day on which"
    " their recording goes",
    engine_limit=timedelta(days=BACKSTOP_DAYS),
)
SPANS = DataClass(
    name="spans",
    holds="which stretches of a recording have a sighting, of which scans and who asked for those,"
    " and which were decided: how, by whom and when; why, unless it was rejected; which recordings"
    " were removed, and when they had come",
    owner="matching",
    engine=Engine.KEY_VALUE,
    place="SIGHTINGS",
    keys="{footage_id}.{subject_id}, {footage_id}",
    kept="31 days, or with footage or subject; that a recording was removed, 31 days",
    removed_by="close, erase, the sweeper, the refusal of a scan, NATS by age",
    limit=RECORD_LIMIT,
    engine_limit=RECORD_LIMIT,
)
FEED = DataClass(
    name="feed of sightings",
    holds="that something happened to a sighting, what and when: ids of sighting and subject, its"
    " state, a digest of the case; no recording, camera, time of an appearance, or reviewer",
    owner="matching",
    engine=Engine.STREAM,
    place="SIGHTING_FEED",
    keys="homeward.feed.{subject_id}.{sighting_id}",
    kept="31 days, so that followers who were away miss nothing, erasures included",
    removed_by="NATS, by age",
    limit=RECORD_LIMIT,
    engine_limit=RECORD_LIMIT,
)
GALLERIES = DataClass(
    name="galleries",
    holds="which collection is in use, of which model pack, and the salt of its key",
    owner="matching",
    engine=Engine.KEY_VALUE,
    place="GALLERIES",
    keys="subjects, sightings",
    kept="until replaced; the message itself is overwritten",
    removed_by="the next rebuild",
)
CERTIFICATES = DataClass(
    name="erasures",
    holds="what was erased when, and how that was verified: ids and counts; which scans were"
    " refused; which recordings there"
    " are and until when, so that one that the store removes is missed; how many there are, by"
    " camera and day",
    owner="matching",
    engine=Engine.KEY_VALUE,
    place="ERASURES",
    keys="footage.…, subject.…, scan.…, refused.…, held.…, begun.…, recent, count.…, round,"
    " pointers",
    kept="6 years; what is held, with its recording; counts, until counted again",
    removed_by="NATS, by age; the end of a removal",
    engine_limit=CERTIFICATES_KEPT,
)
ACTIVITY = DataClass(
    name="activity counts",
    holds="how many searches, hours of footage, faces, candidates and decisions a day had; for 60"
    " days, a shortened digest of the id of each search and candidate, so that none counts twice",
    owner="matching",
    engine=Engine.KEY_VALUE,
    place="ACTIVITY",
    keys="searches.{yyyy-mm}.{dd}.{part}, candidates.{yyyy-mm}.{dd}.{part}, since",
    kept="6 years; digests, until they are added up",
    removed_by="NATS, by age",
    engine_limit=CERTIFICATES_KEPT,
)
AUDIT = DataClass(
    name="audit events",
    holds="who did what to which subject, sighting, scan, recording or camera, when, and why as"
    " they stated it; ids alone",
    owner="matching",
    engine=Engine.STREAM,
    place="AUDIT",
    keys="audit.{writer}.{digest of the case}.{digest of the caller}",
    kept="6 years, or as the operator sets it; nothing deletes or changes one",
    removed_by="NATS, by age",
    engine_limit=AUDIT_KEPT,
)
AUDIT_ARCHIVE = DataClass(
    name="audit archive",
    holds="copies of the audit events, and signed checkpoints of them",
    owner="matching",
    engine=Engine.LOCKED_S3,
    place="HOMEWARD_AUDIT_BUCKET",
    keys="trail/{first}-{last}.jsonl, trail/{first}-{last}.note",
    kept="under object lock for 6 years, or as the operator sets it; only where a bucket is named",
    removed_by="an operator, when the lock has ended",
)
POLICIES = DataClass(
    name="policies",
    holds="thresholds with their measurement, who approved which until when, which is active",
    owner="matching",
    engine=Engine.KEY_VALUE,
    place="POLICIES",
    keys="file.{digest of its id}, approval.{digest of its id}, active",
    kept="for good: what a candidate was chosen by must stay known",
    removed_by="an operator, with the stack",
)
LEASES = DataClass(
    name="leases",
    holds="which replica sweeps, or replaces collections, at the moment",
    owner="ingestion",
    engine=Engine.KEY_VALUE,
    place="LEASES",
    keys="{what}",
    kept="a minute",
    removed_by="NATS, by age",
    engine_limit=timedelta(minutes=1),
)
REVIEW_LEASES = DataClass(
    name="review leases",
    holds="which reviewer has been handed which sighting, so that nobody else is",
    owner="matching",
    engine=Engine.KEY_VALUE,
    place="REVIEW_LEASES",
    keys="{sighting_id}",
    kept="until given back, 5 minutes after it was renewed at most",
    removed_by="the reviewer's decision, NATS by age",
    engine_limit=timedelta(minutes=5),
)

INVENTORY = (
    FOOTAGE,
    PRESENCE,
    INCOMPARABLE,
    CAMERAS,
    UPLOADS,
    STAGED,
    UNCLAIMED,
    SCANS,
    SCAN_WORK,
    SCAN_PLANS,
    FACES,
    SUBJECTS,
    PHOTOGRAPHS,
    REFERENCES,
    SIGHTINGS,
    STILLS,
    SPANS,
    FEED,
    GALLERIES,
    CERTIFICATES,
    ACTIVITY,
    AUDIT,
    AUDIT_ARCHIVE,
    POLICIES,
    LEASES,
    REVIEW_LEASES,
)


def table() -> str:
    """Return all of it as a Markdown table."""
    lines = [
        "| data | where | keys | how long | removed by | removed by the engine itself after |",
        "|---|---|---|---|---|---|",
    ]
    for one in INVENTORY:
        where = f"{one.engine} `{one.place}`" if one.place else one.engine
        keys = ", ".join(f"`{key}`" for key in one.keys.split(", ")) if one.keys else ""
        after = "" if one.engine_limit is None else _span(one.engine_limit)
        lines.append(
            f"| **{one.name}**: {one.holds} | {where} | {keys} | {one.kept} | {one.removed_by}"
            f" | {after} |"
        )
    return "\n".join(lines) + "\n"


def _span(span: timedelta) -> str:
    if span.days:
        return f"{span.days} days"
    return f"{span.seconds} s"
