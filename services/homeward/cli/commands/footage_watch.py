"""`homeward footage watch`: take finished recordings in by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path, PurePosixPath

import click

from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.cli import completing, patience, start_checks, terminal, times, zones
from homeward.cli.errors import CliError, ExitCode, local_problem, tell
from homeward.cli.files import written_name
from homeward.cli.intake import bucket as buckets
from homeward.cli.intake import folder as folders
from homeward.cli.intake.changes import ChangedError
from homeward.cli.intake.facts import SIDE_CAR_SUFFIX, Facts, Rules, SideCar
from homeward.cli.intake.taking import Fault, Taker, summary
from homeward.cli.options import Command, Session, connected
from homeward.cli.render import line_text
from homeward.cli.stopping import until_stopped
from homeward.cli.upload import UploadResult

LONGEST_DAYS = 31
"""That Homeward keeps a recording."""
LATER_SECONDS = 300.0
"""After which a file is tried again that was not finished."""


@dataclass(slots=True)
class Intake:
    """Takes files in, says so, and counts.

    Args:
        session: Of the command.
        taker: Uploads.
        rules: Where camera and start are to be found.
        clock: Seconds that only grow.
    """

    session: Session
    taker: Taker
    rules: Rules
    clock: Callable[[], float] = time.monotonic
    taken: int = 0
    refused: int = 0
    last: ExitCode = ExitCode.OK
    _later: dict[str, float] = field(default_factory=dict)

    def is_due(self, name: str) -> bool:
        """Return whether a file may be tried; one that was not finished is tried again later."""
        return self._later.get(name, 0.0) <= self.clock()

    def take(
        self,
        name: PurePosixPath,
        path: Path,
        facts: Callable[[], Facts],
        is_as_seen: Callable[[], bool] = lambda: True,
    ) -> UploadResult | Fault | None:
        """Take a file in and say what became of it; None if it is not finished."""
        shown = written_name(str(name))
        try:
            outcome = self.taker.take(path, facts, is_as_seen)
        except ChangedError:
            self.put_off(name)
            return None
        self._later.pop(str(name), None)
        if isinstance(outcome, Fault):
            return self.refuse(name, outcome)
        self.taken += 1
        self._told(shown, outcome)
        return outcome

    def put_off(self, name: PurePosixPath) -> None:
        """Say that a file is not finished, and leave it for later."""
        self._later[str(name)] = self.clock() + LATER_SECONDS
        shown = written_name(str(name))
        terminal.tell(f"{shown}: is not finished; it is tried again later", err=True)

    def refuse(self, name: PurePosixPath, why: Fault) -> Fault:
        """Say why a file is not taken in, and return that."""
        self.refused += 1
        self.last = why.problem.exit_code
        tell(summary(str(name), why))
        shown = written_name(str(name))
        self._document(file=shown, reason=why.problem.reason, message=why.lines()[0])
        return why

    def _told(self, shown: str, uploaded: UploadResult) -> None:
        footage = uploaded.footage
        warned = start_checks.warnings(self.taker.stub, footage)
        if not self.session.view.json:
            held = "held already as footage" if uploaded.already_held else "footage"
            self.session.view.say(
                f"{shown}: {held} {footage.footage_id}, camera {footage.camera_id}, start"
                f" {times.shown(footage.start_time)} by the camera's clock, removed by"
                f" {times.shown(footage.delete_time)}"
            )
        start_checks.tell_warnings(warned, about=shown)
        held_already = uploaded.already_held
        self._document(file=shown, footage=footage, alreadyHeld=held_already, warnings=warned)

    def _document(self, **content: object) -> None:
        if self.session.view.json:
            terminal.tell_own(line_text(content))

    @property
    def exit_code(self) -> ExitCode:
        """Return how a command ends that takes in what there is."""
        return ExitCode.PARTIAL if self.taken and self.refused else self.last


@dataclass(frozen=True, slots=True)
class FromFolder:
    """Takes in what a recorder exports into a folder."""

    folder: folders.Folder
    resting: folders.Resting
    keep_done_days: int | None

    @property
    def settles_in(self) -> timedelta:
        """After which whatever is finished now is at rest."""
        return self.resting.rest

    def round(self, intake: Intake) -> bool:
        """Take in what is finished; return whether files are left that may become so."""
        found = self.folder.files()
        ready = self.resting.at_rest(found)
        left = len(found) - len(ready)
        for one in ready:
            if not intake.is_due(str(one.place)):
                continue
            outcome = intake.take(
                one.place,
                one.path,
                lambda one=one: intake.rules.facts(one.place, self.folder.side_car(one)),  # type: ignore[misc]
                lambda one=one: self.folder.is_as_seen(one),  # type: ignore[misc]
            )
            try:
                if outcome is None:
                    self.resting.begin_again(one)
                elif isinstance(outcome, Fault):
                    self.folder.move_to_failed(one, outcome.lines())
                else:
                    self.folder.move_to_done(one, folders.today())
            except FileNotFoundError:  # somebody else has moved it
                continue
        if self.keep_done_days is not None:
            for gone in self.folder.remove_done(folders.today(), self.keep_done_days):
                terminal.tell(f"Removed what was taken in on {gone.name}.", err=True)
        return left > 0


@dataclass(frozen=True, slots=True)
class FromBucket:
    """Takes in what is under a prefix of a bucket, which stays as it is."""

    bucket: buckets.Bucket
    record: buckets.Record
    folder: folders.Folder

    @property
    def settles_in(self) -> timedelta:
        """After which whatever is finished now is at rest."""
        return timedelta()

    def round(self, intake: Intake) -> bool:
        """Take in what is new; return False: an object is whole."""
        self.record.clear()  # of a process that was killed
        known = self.record.read()
        objects = self.bucket.objects()
        dealt_with = {one.key: known[one.key] for one in objects if one.key in known}
        for one in objects:
            may_take = self.folder.takes(one.place.name) and intake.is_due(str(one.place))
            if dealt_with.get(one.key) == one.etag or not may_take:
                continue
            side_car = self.bucket.side_car(one)
            if side_car is None and self.folder.side_car_first:
                continue
            outcome = self._outcome(intake, one, side_car)
            if outcome is None:
                continue
            if isinstance(outcome, Fault):
                self.folder.write_reason(one.place, outcome.lines())
            dealt_with[one.key] = one.etag
            self.record.write(dealt_with)
        return False

    def _outcome(
        self, intake: Intake, one: buckets.Object, side_car: bytes | None
    ) -> UploadResult | Fault | None:
        """Fetch an object and take it in; one that is too large is refused before."""
        if why := intake.taker.too_large(written_name(one.place.name), one.size):
            return intake.refuse(one.place, why)
        path = self.record.room(one.place.name)
        try:
            self.bucket.fetch(one, path)
            return intake.take(
                one.place, path, lambda: intake.rules.facts(one.place, _parsed(side_car, one.place))
            )
        except ChangedError:
            intake.put_off(one.place)
            return None
        finally:
            self.record.clear()


def _parsed(side_car: bytes | None, place: PurePosixPath) -> SideCar | None:
    name = written_name(f"{place.name}{SIDE_CAR_SUFFIX}")
    return None if side_car is None else SideCar.parsed(side_car, name)


@click.command(
    "watch",
    cls=Command,
    examples=[
        "homeward footage watch /srv/export --start-from-name %Y%m%dT%H%M%S \\",
        "    --timezone Europe/London           # /srv/export/gate/20261120T100000.mp4",
        "homeward footage watch /srv/export --start-from-name {camera}_%Y-%m-%d_%H-%M-%S",
        "homeward footage watch /srv/export --side-car",
        "homeward footage watch /var/lib/intake --s3 s3://exports/cctv \\",
        "    --s3-endpoint https://s3.example.police.uk --start-from-name %Y%m%dT%H%M%S",
    ],
)
@connected
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--camera",
    "camera_id",
    metavar="CAM",
    help="The camera, of all files.",
    shell_complete=completing.cameras,
)
@click.option(
    "--start-from-name",
    "pattern",
    metavar="PATTERN",
    help="Read the start from names, such as %Y%m%dT%H%M%S; {camera} in it stands for the camera.",
)
@click.option("--side-car", is_flag=True, help="Take a file only once FILE.json lies beside it.")
@click.option("--only", multiple=True, metavar="GLOB", help="Only files of such names, as *.mp4.")
@click.option(
    "--rest",
    type=times.parse_span,
    default="60s",
    show_default=True,
    metavar="SPAN",
    help="Take a file once it has not changed for so long.",
)
@click.option(
    "--every",
    type=times.parse_span,
    default="10s",
    show_default=True,
    metavar="SPAN",
    help="How often to look.",
)
@click.option(
    "--keep-done",
    type=click.IntRange(0, LONGEST_DAYS),
    metavar="DAYS",
    help="Remove files from done/ so many days after they were taken in. [default: never]",
)
@click.option("--via-url", is_flag=True, help="Put files straight into the object store.")
@click.option("--once", is_flag=True, help="End when all that is finished is taken in.")
@click.option("--s3", metavar="s3://BUCKET/PREFIX", help="Take objects in; DIR keeps the record.")
@click.option(
    "--s3-endpoint",
    default=buckets.DEFAULT_ENDPOINT,
    show_default=True,
    metavar="URL",
    help="Where that bucket is.",
)
def watch(
    session: Session,
    *,
    folder: Path,
    camera_id: str | None,
    pattern: str | None,
    side_car: bool,
    only: tuple[str, ...],
    rest: timedelta,
    every: timedelta,
    keep_done: int | None,
    via_url: bool,
    once: bool,
    s3: str | None,
    s3_endpoint: str,
) -> ExitCode:
    """Take in the finished recordings that come into a folder, until Ctrl-C.

    A file is taken when it has not changed for --rest; one that is being written is left alone:
    Homeward searches finished recordings, no live video. Its camera is the one in FILE.json beside
    it, in its name, of --camera, or the folder that it lies in. What is taken in moves to done/,
    what is refused to failed/, with a .txt beside it that says why. Stop and start it at any time:
    nothing is lost, and the same file again is the same footage. docs/footage.md has the details.

    With --s3, objects under a prefix are taken in, and stay where they are. AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY name the key, which need only list and read.
    """
    if keep_done is not None and s3:
        raise click.UsageError("--keep-done does not go with --s3, which leaves no files in done/")
    if every <= timedelta() or rest < timedelta():
        raise click.UsageError("--every must be more than 0s, and --rest at least 0s")
    if pattern is None and not side_car:
        raise click.UsageError(
            "say where the start of a recording is found: --start-from-name or --side-car"
        )
    folders.require_folder(folder)
    place = folders.Folder(folder, only, side_car_first=side_car)
    if keep_done is None and (old := place.done_before(folders.today(), LONGEST_DAYS)):
        terminal.tell(
            f"WARNING: {old[0]} holds recordings taken in more than {LONGEST_DAYS} days ago;"
            " Homeward has erased its copies. Remove yours, or give"
            f" --keep-done {LONGEST_DAYS}.",
            err=True,
        )
    source: FromFolder | FromBucket
    if s3:
        source = FromBucket(buckets.Bucket.opened(s3, s3_endpoint), buckets.Record(folder), place)
    else:
        source = FromFolder(place, folders.Resting(rest), keep_done)
    stub = FootageServiceStub(session.connections.channel("ingestion"))
    intake = Intake(session, Taker(stub, via_url), Rules(camera_id, pattern, zones.stated() or UTC))
    with until_stopped(lambda: "Ended. Start it again at any time: it goes on where it was."):
        _follow(source, intake, once=once, every=every)
    return intake.exit_code


def _follow(
    source: FromFolder | FromBucket, intake: Intake, *, once: bool, every: timedelta
) -> None:
    if not once:
        rest = times.span(source.settles_in.total_seconds())
        taken = f" A file is taken in once it has not changed for {rest}."
        terminal.tell("Watching; Ctrl-C ends it." + taken * bool(source.settles_in), err=True)
    failures, began = 0, intake.clock()
    while True:
        settled = intake.clock() - began >= source.settles_in.total_seconds()
        try:
            unfinished = source.round(intake)
        except (CliError, OSError) as error:  # a share may be away for a while
            problem = local_problem(error) if isinstance(error, OSError) else error
            if once or not (problem.passing or isinstance(error, OSError)):
                raise problem from None
            failures += 1
            patience.pause(failures, problem.message)
            continue
        failures = 0
        if once and (settled or not unfinished):
            return  # what has not come to rest by now is being written
        time.sleep(every.total_seconds())
