"""`homeward evaluate`: measure the model pack on labelled data, and write a policy from it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import cv2
import msgspec
import numpy as np

from homeward.cli import terminal
from homeward.cli.errors import PACK_ADVICE
from homeward.cli.progress import shown
from homeward.core.packs import PackError
from homeward.core.policy import Measurement, PolicyFile, write_policy
from homeward.embedding.adapters.caged_pictures import CagedPictureDecoder
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.ports import LoadedPack
from homeward.embedding.settings import EmbeddingSettings
from homeward.evaluation import cohorts, metrics, results
from homeward.evaluation.dataset import (
    Clip,
    Dataset,
    DatasetError,
    Photo,
    read_dataset,
    read_footage,
)
from homeward.evaluation.footage import (
    Search,
    gallery_of,
    reference_photos,
    searcher,
    searches,
    usable,
)
from homeward.evaluation.metrics import Bootstrap, OpenSet, Photographs
from homeward.evaluation.page import render
from homeward.evaluation.photos import (
    Degrade,
    Measurer,
    Sample,
    blurred_by,
    compared,
    darkened_to,
    shrunk_to,
)
from homeward.evaluation.report import Degradation, Report
from homeward.servicekit.cage import CageNotStartedError
from homeward.servicekit.errors import UnavailableError
from homeward.servicekit.logs import configure_logging

PHOTOS_EACH = 100
"""Photographs of the data set that are decoded in one cage. One that takes its decoder over could
change the pictures of those after it, as whoever made the data set could anyway; starting a cage
takes 0.14 seconds of a processor, decoding a photograph of LFW 0.001 (2026-11-28)."""

FACE_WIDTHS_PX = (48, 37, 30, 23, 17, 12)
BLURS_PERCENT = (1, 2, 4, 6, 8)
LIGHTS_PERCENT = (50, 25, 12, 6)
LEAST_ENROLLED = 10

LIMITS = (
    "Photographs and made-up footage are kinder than CCTV: sharp, lit, facing the camera, one"
    " person at a time. Expect more misses and other false positives on real recordings, and"
    " measure on labelled footage of the cameras in use before a threshold is relied on."
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how."""

    fpir: float
    gallery_size: int | None
    draws: int
    seed: int
    sample_rate: float
    leave_out: tuple[str, ...]


@click.command("evaluate")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--footage",
    "footage_folder",
    type=click.Path(path_type=Path),
    help="Folder of recordings with truth files: the threshold is chosen on these.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("evaluation"),
    show_default=True,
    help="Folder for report.html, report.json and policy.json.",
)
@click.option(
    "--fpir",
    type=click.FloatRange(0.0001, 0.2),
    default=0.01,
    show_default=True,
    help="Of people who are not enrolled, the share that may be listed as a candidate.",
)
@click.option("--gallery", type=click.IntRange(10), help="People enrolled; half of all by default.")
@click.option("--draws", type=click.IntRange(100, 10_000), default=1000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--sample-rate",
    type=click.FloatRange(0.5, 30),
    default=5.0,
    show_default=True,
    help="Pictures looked at per second of footage.",
)
@click.option(
    "--leave-out",
    multiple=True,
    metavar="IDENTITY",
    help="Somebody whose label is wrong; stands in the report. May be given several times.",
)
@click.option("--policy-id", help="Of the policy; the pack's name and today's date by default.")
@click.option("--about", help="What the data are, in words, for the policy.")
@click.option(
    "--limits", default=LIMITS, help="How far the data are from real use, in plain words."
)
def evaluate(
    *,
    dataset: Path,
    footage_folder: Path | None,
    out: Path,
    fpir: float,
    gallery: int | None,
    draws: int,
    seed: int,
    sample_rate: float,
    leave_out: tuple[str, ...],
    policy_id: str | None,
    about: str | None,
    limits: str,
) -> None:
    """Measure the model pack on the labelled photographs in DATASET (a folder for each person).

    The pack is that of the embedding service's settings (HOMEWARD_MODEL_PACK). Nothing is kept of
    anybody but scores. The policy that is written holds nowhere until somebody approves it.
    """
    configure_logging("evaluate", "error")
    cv2.setNumThreads(1)
    options = Options(fpir, gallery, draws, seed, sample_rate, leave_out)
    try:
        settings = EmbeddingSettings()
        pack = load_configured(settings)
        data = _without(read_dataset(dataset), leave_out)
        clips = read_footage(footage_folder) if footage_folder else ()
        with CagedPictureDecoder(photos_each=PHOTOS_EACH) as decoder:
            measurer = Measurer(
                decoder, pack.detector, pack.recogniser, threads=settings.inference_threads
            )
            threads = settings.inference_threads
            report = _evaluated(data, clips, pack, measurer, options, threads=threads)
    except (DatasetError, PackError, CageNotStartedError, UnavailableError) as error:
        terminal.tell(f"homeward evaluate: {error}", err=True)
        if isinstance(error, PackError):
            terminal.tell(f"advice: {PACK_ADVICE}", err=True)
        sys.exit(2)
    policy = _policy(report, policy_id, about, limits)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    )
    (out / "report.html").write_text(render(report, limits), encoding="utf-8")
    (out / "policy.json").write_bytes(write_policy(policy))
    measured = policy.measurement
    terminal.tell(
        f"threshold {policy.threshold:.3f}, chosen on {report.threshold_from}:"
        f" FPIR {measured.fpir.value:.4f} [{measured.fpir.low:.4f}, {measured.fpir.high:.4f}]"
        f" with {measured.gallery_size} people enrolled,"
        f" FNIR {measured.fnir.value:.4f} [{measured.fnir.low:.4f}, {measured.fnir.high:.4f}]"
    )
    terminal.tell_lines(cohorts.lines(report.cohorts))
    wrong = len(report.suspects) + len(report.doubtful)
    if wrong:
        terminal.tell(f"{wrong} pairs of photographs may have a wrong label: see the page")
    terminal.tell_lines(str(out / name) for name in ("report.html", "report.json", "policy.json"))


def _without(data: Dataset, names: Sequence[str]) -> Dataset:
    unknown = set(names) - set(data.identities)
    if unknown:
        raise DatasetError(f"--leave-out {', '.join(sorted(unknown))}: no such identity")
    kept = tuple(photo for photo in data.photos if photo.identity not in names)
    return Dataset(data.folder, kept, data.cohorts)


def _evaluated(
    data: Dataset,
    clips: Sequence[Clip],
    pack: LoadedPack,
    measurer: Measurer,
    options: Options,
    *,
    threads: int,
) -> Report:
    samples = _measured("photographs", measurer, data.photos)
    photos = compared(samples, data.identities)
    size, sets = _open_sets(photos, options)
    found, gallery_size = _footage(clips, pack, measurer, options, threads)
    in_footage = None
    if found:
        in_footage = results.footage_report(
            found,
            recordings=len(clips),
            gallery_size=gallery_size,
            fpir=options.fpir,
            threshold=None,
            how=Bootstrap(options.draws, options.seed),
        )
    threshold = (
        in_footage.curves[0].threshold
        if in_footage
        else float(metrics.THRESHOLDS[metrics.operating_point(sets[-1], options.fpir)])
    )
    how = Bootstrap(options.draws // 4, options.seed)
    return Report(
        model_name=pack.model.name,
        model_digest=pack.model.digest,
        runtimes=(pack.model.detector_runtime, pack.model.recogniser_runtime),
        dataset=data.folder.name,
        dataset_digest=data.digest(),
        identities=len(data.identities),
        photographs=len(data.photos),
        left_out=options.leave_out,
        seed=options.seed,
        draws=options.draws,
        make_time=datetime.now(UTC).replace(microsecond=0),
        fpir_asked=options.fpir,
        gallery_size=size,
        threshold=threshold,
        threshold_from="footage" if in_footage else "photographs",
        enrolment=results.enrolment(samples, threshold=threshold, how=how),
        pairs=results.pairs(photos, how),
        identification=results.identification(sets, threshold=threshold, chosen=sets[-1]),
        conditions=tuple(
            results.condition(degradation, worse, samples, threshold=threshold, how=how)
            for degradation, worse in _worse(measurer, data.photos, options.seed)
        ),
        cohorts=(
            *cohorts.of_photographs(data, photos, gallery_size=size, threshold=threshold, how=how),
            *(cohorts.of_footage(data, found, threshold=threshold, how=how) if found else ()),
        ),
        suspects=results.suspects(samples, photos),
        doubtful=results.doubtful(samples, photos),
        footage=in_footage,
    )


def _open_sets(photos: Photographs, options: Options) -> tuple[int, list[OpenSet]]:
    """Return how many are enrolled, and the open sets of galleries up to that size.

    Raises:
        DatasetError: Nobody would be left who is not enrolled, or hardly anybody enrolled.
    """
    enrollable = len(np.unique(photos.identity[photos.enrollable]))
    size = options.gallery_size or enrollable // 2
    if not LEAST_ENROLLED <= size < enrollable:
        raise DatasetError(
            f"a gallery of {size}: {enrollable} people can be enrolled, and some must be strangers"
        )
    sizes = sorted({size, *(one for one in metrics.gallery_sizes(enrollable) if one <= size)})
    return size, [
        metrics.open_set(photos, Bootstrap(options.draws, options.seed), gallery_size=one)
        for one in sizes
    ]


def _measured(
    title: str, measurer: Measurer, photos: Sequence[Photo], degrade: Degrade | None = None
) -> list[Sample]:
    with _counted(title, len(photos)) as passed:
        return measurer.measure(photos, degrade, passed=passed)


def _worse(
    measurer: Measurer, photos: Sequence[Photo], seed: int
) -> Iterator[tuple[Degradation, list[Sample]]]:
    """Yield the photographs made worse in several ways."""
    widths = {Degradation("face width", px, "px"): shrunk_to(px) for px in FACE_WIDTHS_PX}
    blurs = {
        Degradation("blur", part, "% of the face's width"): blurred_by(part / 100)
        for part in BLURS_PERCENT
    }
    lights = {
        Degradation("light", part, "%"): darkened_to(part / 100, seed=seed)
        for part in LIGHTS_PERCENT
    }
    for degradation, degrade in (widths | blurs | lights).items():
        yield (
            degradation,
            _measured(f"{degradation.name} {degradation.value:g}", measurer, photos, degrade),
        )


def _footage(
    clips: Sequence[Clip], pack: LoadedPack, measurer: Measurer, options: Options, threads: int
) -> tuple[list[Search], int]:
    """Search recordings for everybody who has references; return searches and the least gallery."""
    if not clips:
        return [], 0
    photos = reference_photos(clips, options.leave_out)
    known = usable(photos, _measured("references", measurer, photos))

    async def search() -> tuple[list[Search], int]:
        found: list[Search] = []
        least = len(known)
        with _counted("footage", len(clips)) as passed:
            async with searcher(
                detector=pack.detector,
                recogniser=pack.recogniser,
                model=pack.model,
                threads=threads,
            ) as opened:
                for clip in clips:
                    gallery = gallery_of(clip, known)
                    if not gallery:
                        raise DatasetError(f"{clip.path}: nobody who can be enrolled is not in it")
                    scored = await opened.search(clip.path, gallery, options.sample_rate)
                    found += searches(clip, scored, list(gallery))
                    least = min(least, len(gallery))
                    passed()
        return found, least

    return asyncio.run(search())


def _policy(report: Report, policy_id: str | None, about: str | None, limits: str) -> PolicyFile:
    chosen = report.chosen
    photographs = f"{report.photographs} photographs of {report.identities} people"
    if report.footage:
        size, fpir, fnir = (
            report.footage.gallery_size,
            report.footage.fpir_at_threshold,
            report.footage.fnir_at_threshold,
        )
        words = (
            f"{report.footage.enrolled_appearances} appearances of enrolled people and"
            f" {report.footage.strangers_appearances} of strangers in {report.footage.recordings}"
            f" recordings; besides {photographs}"
        )
    else:
        size, fpir, fnir = report.gallery_size, chosen.fpir_at_threshold, chosen.fnir_at_threshold
        words = photographs
    return PolicyFile(
        policy_id=policy_id or f"{report.model_name}/{report.make_time:%Y-%m-%d}",
        model_name=report.model_name,
        model_digest=report.model_digest,
        threshold=report.threshold,
        measurement=Measurement(
            gallery_size=size,
            fpir=fpir,
            fnir=fnir,
            dataset=f"{about} ({words})" if about else words,
            dataset_digest=report.dataset_digest,
            identities=report.identities,
            photographs=report.photographs,
            seed=report.seed,
            make_time=report.make_time,
            limits=limits,
            cohorts=tuple(row for _, rows in report.cohorts for row in rows),
        ),
    )


@contextmanager
def _counted(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how far something is, by a call for each that is done."""
    done = 0
    with shown(title) as show:

        def passed() -> None:
            nonlocal done
            done += 1
            show(done, total, "")

        yield passed
