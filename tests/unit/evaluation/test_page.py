from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from homeward.core.policy import Basis, Cohort, Rate
from homeward.evaluation.page import render
from homeward.evaluation.report import (
    Condition,
    Degradation,
    Enrolment,
    FootageCurve,
    FootageReport,
    HeadBand,
    Identification,
    Pairs,
    Report,
    Series,
    Suspect,
)

RATE = Rate(0.0125, 0.01, 0.02, trials=400)
RISING = Series((0.1, 0.4, 0.8), (0.01, 0.1, 0.5), (0.005, 0.08, 0.4), (0.02, 0.2, 0.6), 400, 40)
FALLING = Series((0.1, 0.4, 0.8), (0.5, 0.1, 0.01), (0.4, 0.08, 0.005), (0.6, 0.2, 0.02), 400, 40)
HOSTILE = '<script src="https://example.com/x.js">&'


def found(**changes: Any) -> Report:
    one = Identification(20, FALLING, RISING, RISING, RATE, RATE, 0.01)
    report = Report(
        model_name="yunet-sface",
        model_digest="a" * 64,
        runtimes=("onnxruntime", "OpenVINO"),
        dataset="faces",
        dataset_digest="b" * 64,
        identities=40,
        photographs=400,
        left_out=(),
        seed=7,
        draws=1000,
        make_time=datetime(2026, 3, 4, 12, 30, tzinfo=UTC),
        fpir_asked=0.01,
        gallery_size=20,
        threshold=0.4567,
        threshold_from="photographs",
        enrolment=Enrolment(400, RATE, RATE, (("BLURRED", 9),), 2, RATE, None),
        pairs=Pairs(
            genuine_mean=0.657,
            genuine_deviation=0.114,
            genuine_count=1800,
            impostor_mean=0.082,
            impostor_deviation=0.088,
            impostor_count=78_000,
            edges=(0.0, 0.5, 1.0),
            genuine_density=(0.5, 1.5),
            impostor_density=(1.9, 0.1),
            fold_accuracy=0.9942,
            fold_accuracy_error=0.001,
            at_fmr=((0.001, 0.357, RATE),),
        ),
        identification=(replace(one, gallery_size=10), one),
        conditions=(Condition(Degradation("face width", 24, "px"), RATE, RATE),),
        cohorts=(),
        suspects=(),
        doubtful=(),
        footage=None,
    )
    return replace(report, **changes)


def in_footage() -> FootageReport:
    curve = FootageCurve("as scanned", FALLING, RISING, 0.4321, RATE, RATE)
    return FootageReport(
        recordings=3,
        gallery_size=19,
        enrolled_appearances=50,
        strangers_appearances=60,
        curves=(curve,),
        bands=(HeadBand(24, 32, (("as scanned", RATE),)),),
        fpir_at_threshold=RATE,
        fnir_at_threshold=RATE,
    )


class Words(HTMLParser):
    """The text of a page, but its style; and each element in it that names something elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.elsewhere: list[str] = []
        self.cells = 0
        self._style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        self.cells += tag == "td"
        if tag in {"script", "link", "img", "iframe"}:
            self.elsewhere.append(tag)
        self.elsewhere += [
            f"{tag} {name}"
            for name, value in attrs
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.text.append(data)

    def __str__(self) -> str:
        return " ".join(" ".join(self.text).split())


@cache  # drawing the curves takes a second
def words(report: Report, limits: str = "Photographs, not CCTV.") -> str:
    return str(Words(render(report, limits)))


def test_the_page_begins_with_what_the_threshold_is_worth() -> None:
    assert (
        "At a cosine similarity of 0.457, chosen on photographs for an FPIR of 0.01: of people who"
        " are not enrolled, 1.25 % [1 %, 2 %] are listed as a candidate of somebody in a gallery of"
        " 20; of people who are, 1.25 % [1 %, 2 %] are not listed (photographs). Photographs, not"
        " CCTV."
    ) in words(found())


@pytest.mark.parametrize(
    "told",
    [
        f"model pack yunet-sface, {'a' * 16}…",
        "run by onnxruntime, OpenVINO",
        f"data faces: 400 photographs of 40 people, {'b' * 16}…",
        "left out by hand nobody",
        "draws, seed 1000, 7",
        "made 2026-03-04 12:30 UTC",
        "20 1.25 % [1 %, 2 %] 1 % 1.25 % [1 %, 2 %] 1 %",
        "one person 0.657 0.114 1800",
        "0.001 0.357 1.25 % [1 %, 2 %]",
        "Verification over ten folds: 99.4 % ± 0.1 % right.",
        "face width 24 px 1.25 % [1 %, 2 %]",
        "The data set has no cohorts.csv",
        "of these: BLURRED 9",
        "good photographs not matched with refused ones none",
    ],
)
def test_the_page_tells(told: str) -> None:
    assert told in words(found())


def test_footage_has_a_part_of_its_own() -> None:
    page = words(found(footage=in_footage(), threshold_from="footage"))

    assert "In footage, at the same similarity: 1.25 % [1 %, 2 %] of the appearances" in page
    assert "3 recordings; 50 appearances of enrolled people, 60 of strangers" in page
    assert "as scanned 0.432 1.25 % [1 %, 2 %]" in page
    assert "24 to 32 1.25 % [1 %, 2 %] 400" in page
    assert "Appearances in footage" in page
    assert "recordings;" not in words(found())


def test_groups_are_told_with_what_was_not_searched() -> None:
    row = Cohort(
        name="0 to 17",
        identities=9,
        fpir=None,
        fpir_identities=0,
        fnir=RATE,
        fnir_identities=9,
        attribute="age",
        basis=Basis.PHOTOGRAPHS,
    )

    page = words(found(cohorts=(("age", (row,)),)))

    assert "age, on photographs" in page
    assert "0 to 17 9 1.25 % [1 %, 2 %] 9 no search 0" in page
    assert "has no cohorts.csv" not in page


def test_photographs_that_may_have_a_wrong_label_are_shown() -> None:
    page = words(found(suspects=(Suspect("a/1.jpg", "b/2.jpg", 0.71),)))

    assert "Two names, very alike: one person? similarity a/1.jpg b/2.jpg 0.710" in page
    assert "One name, unlike" not in page
    assert "Look at these" not in words(found())


def test_names_of_files_and_groups_are_text_and_no_markup() -> None:
    report = found(dataset=HOSTILE, left_out=(HOSTILE,), doubtful=(Suspect(HOSTILE, HOSTILE, 0.1),))

    page = render(report, HOSTILE)

    assert Words(page).elsewhere == []
    assert page.count("&lt;script src=") == 5
    assert str(Words(page)).count(HOSTILE) == 5


def test_the_page_asks_nobody_for_anything() -> None:
    page = render(found(footage=in_footage()), "none")

    assert Words(page).elsewhere == []
    assert not re.search(r"url\((?!#)", page)  # clip paths of the curves are in the page


def test_the_same_report_is_the_same_page() -> None:
    report = found(footage=in_footage())

    assert render(report, "none") == render(report, "none")
