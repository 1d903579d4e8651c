"""An erasure certificate as a page to read."""

from __future__ import annotations

from homeward.api.matching.v1 import subject_pb2
from homeward.cli import times
from homeward.cli.errors import CliError, ExitCode, tell
from homeward.cli.options import Session

OUTCOMES = {
    subject_pb2.ErasureEntry.OUTCOME_ERASED: "erased",
    subject_pb2.ErasureEntry.OUTCOME_PENDING: "pending",
    subject_pb2.ErasureEntry.OUTCOME_FAILED: "failed",
}
"""An outcome that this version does not know is `unknown`: never taken for erased."""

_OF_IDS = {"scans": "the records of scans", "feed of sightings": "the feed of sightings"}
"""The data of which ids can be read until they go, as the service names it, and in words."""

_NONE_HELD = "none held"


def verdict(certificate: subject_pb2.ErasureCertificate) -> str:
    """Return a sentence that says whether all data is gone."""
    outcomes = {OUTCOMES.get(entry.outcome, "unknown") for entry in certificate.entries}
    if outcomes == {"erased"}:
        return "All of it is gone."
    if outcomes <= {"erased", "pending"}:
        where = [
            words
            for entry in certificate.entries
            for words in [_OF_IDS.get(entry.data)]
            if words and OUTCOMES.get(entry.outcome) == "pending"
        ]
        readable = f", except ids in {' and in '.join(where)}" if where else ""
        return (
            f"Nothing of it can be read any more{readable}. The bytes of what is pending are still"
            " on a disk."
        )
    return "Not all of it is gone."


def outcome_word(entry: subject_pb2.ErasureEntry) -> str:
    """Return the outcome of one kind of data to read; `none held` where nothing was held."""
    if entry.outcome == subject_pb2.ErasureEntry.OUTCOME_ERASED and not entry.item_count:
        return _NONE_HELD
    return OUTCOMES.get(entry.outcome, "unknown")


def tell_certificate(
    session: Session, certificate: subject_pb2.ErasureCertificate, *, now: str
) -> ExitCode:
    """Print a certificate, unless JSON is asked for; tell whether all is erased.

    Args:
        session: Of the command.
        certificate: Of a subject or a scan.
        now: The command that erases what could not be erased.
    """
    outcomes = {entry.outcome for entry in certificate.entries}
    failed = subject_pb2.ErasureEntry.OUTCOME_FAILED in outcomes
    noun = "scan" if certificate.scan_id else "subject"
    name = certificate.scan_id or certificate.subject_id
    if not session.view.json:
        session.view.say(
            f"Erasure certificate of {noun} {name}, {times.shown(certificate.erase_time)}:"
        )
        session.view.table(
            ("data", "store", "items", "outcome", "how verified, or what is pending"),
            [
                (
                    entry.data,
                    entry.store,
                    str(entry.item_count),
                    outcome_word(entry),
                    entry.verification,
                )
                for entry in certificate.entries
            ],
        )
        session.view.say(verdict(certificate))
        if subject_pb2.ErasureEntry.OUTCOME_PENDING in outcomes:
            session.view.say(
                f"Ask again later with `homeward {noun} certificate {name}`: it shows whether the"
                " rest is gone by then."
            )
    if failed:
        # What a refused scan found is within its own deadline until then. Data of a subject without
        # a record is looked for once an hour.
        of_scan = f"the next sweep does what is left; `{now}` does it now"
        of_subject = (
            "a sweep does what is left, within little more than an hour, and it counts as overdue"
            f" until then (`homeward retention`); `{now}` does it now, while the subject is on"
            " record"
        )
        advice = of_scan if certificate.scan_id else of_subject
        tell(CliError("not everything was erased", advice=advice))
    return ExitCode.PARTIAL if failed else ExitCode.OK


def certificate_page(certificate: subject_pb2.ErasureCertificate) -> str:
    """Return a certificate as HTML."""
    from homeward.cli.pages import environment  # noqa: PLC0415 - slow to import

    return (
        environment()
        .get_template("certificate.html")
        .render(
            what="Found by scan" if certificate.scan_id else "Subject",
            name=certificate.scan_id or certificate.subject_id,
            time=times.shown(certificate.erase_time),
            verdict=verdict(certificate),
            entries=[
                (OUTCOMES.get(entry.outcome, "unknown"), outcome_word(entry), entry)
                for entry in certificate.entries
            ],
        )
    )
