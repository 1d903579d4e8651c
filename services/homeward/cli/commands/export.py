"""`homeward export`: packages of sightings, as files."""

from __future__ import annotations

from datetime import datetime

import click

from homeward.cli import times
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.files import existing_file
from homeward.cli.options import Group, Session, connected
from homeward.core.audit.notes import NoteError, VerifierKey
from homeward.core.export_package import MOST_BYTES, Verdict, verify_package

KEY_VARIABLE = "HOMEWARD_EXPORT_KEYS"


@click.group(cls=Group)
def export() -> None:
    """Verify the package of a sighting, which `homeward sighting export` wrote."""


@export.command(
    "verify",
    examples=[
        "homeward export verify MP-26-0412.zip --key homeward-audit+…",
        f"{KEY_VARIABLE}='homeward-audit+… homeward-audit+…' homeward export verify MP-26-0412.zip",
    ],
)
@connected
@click.argument("file", metavar="FILE")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    envvar=KEY_VARIABLE,
    help=f"A key that may have signed it, as its sender told you. [{KEY_VARIABLE}: several]",
)
def verify(session: Session, *, file: str, keys: tuple[str, ...]) -> None:
    """Check whether a package was changed, and whose key signed it, without any server.

    Exit code 3 if anything was changed, or if another key signed it. Exit code 10 if nothing was
    changed, but you gave no key: then anybody may have made the package.
    """
    try:
        trusted = [VerifierKey.parse(key) for key in keys]
    except NoteError as error:
        advice = "it looks like homeward-audit+1234abcd+Ab…=, and its sender has it"
        raise CliError(f"--key: {error}", advice=advice) from error
    path = existing_file(file)
    if path.stat().st_size > MOST_BYTES:
        raise CliError(f"{file} is larger than a package may be", exit_code=ExitCode.OVERDUE)
    verdict = verify_package(path.read_bytes(), trusted)
    if session.view.json:
        session.view.document(_document(verdict, known=bool(trusted)))
    else:
        _say(session, verdict)
    if not verdict.holds:
        raise CliError(
            f"{file} has been changed, or another key signed it",
            exit_code=ExitCode.OVERDUE,
            advice="do not use it; ask the sender for the file again, and by telephone for the key",
        )
    if not trusted:
        raise CliError(
            f"{file} has not been changed since it was signed, but you gave no key:"
            " anybody may have signed it",
            exit_code=ExitCode.PARTIAL,
            advice="ask the sender, such as by telephone, whether their key is"
            f" {verdict.verifier_key}; if so, give it with --key",
        )
    session.view.say(
        "The package has not been changed since it was signed with a key that you gave."
    )


def _say(session: Session, verdict: Verdict) -> None:
    for finding in verdict.findings:
        session.view.say(f"{'OK' if finding.holds else 'NOT OK'}: {finding.sentence}")
    if verdict.manifest is None:
        return
    sighting, subject = verdict.manifest["sighting"], verdict.manifest["subject"]
    session.view.details(
        [
            ("given to", str(verdict.manifest["recipient"])),
            ("given out", _shown(str(verdict.manifest["make_time"]))),
            ("by", str(verdict.manifest["given_out_by"])),
            ("case", str(subject["case_reference"])),
            ("sighting", str(sighting["sighting_id"])),
            ("confirmed by", ", ".join(_confirmers(verdict))),
            ("for use", "" if verdict.manifest["approved"] else "NO: its policy was not approved"),
        ]
    )


def _shown(time: str) -> str:
    """Return a time of a manifest to read; as it stands if it is none, as anybody can sign that."""
    try:
        instant = datetime.fromisoformat(time)
    except ValueError:
        return time
    return times.shown_instant(instant) if instant.tzinfo else time


def _confirmers(verdict: Verdict) -> list[str]:
    assert verdict.manifest is not None, "asked only of what was signed"
    reviews = verdict.manifest["sighting"]["reviews"]
    return [str(one["reviewer"]) for one in reviews if one["decision"] == "confirm"]


def _document(verdict: Verdict, *, known: bool) -> dict[str, object]:
    return {
        "holds": verdict.holds,
        "signerKnown": known and bool(verdict.verifier_key),
        "verifierKey": verdict.verifier_key,
        "findings": [{"holds": one.holds, "sentence": one.sentence} for one in verdict.findings],
        "manifest": verdict.manifest,
    }
