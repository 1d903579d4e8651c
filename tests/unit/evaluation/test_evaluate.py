"""The command, with a recogniser that needs no second for a face."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from homeward.core.policy import Ages, measured_ages, read_policy
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.ports import LoadedPack
from homeward.evaluation import command
from homeward.evaluation.dataset import read_dataset
from homeward.evaluation.photos import Measurer, blurred_by, darkened_to, shrunk_to

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fake_pack: LoadedPack) -> Run:
    monkeypatch.setattr(command, "load_configured", lambda _: fake_pack)
    monkeypatch.setattr(command, "configure_logging", lambda *_: None)  # of the whole process

    def run(*arguments: str | Path, out: str = "out") -> Result:
        return CliRunner().invoke(
            command.evaluate,
            [*map(str, arguments), "--draws", "100", "--out", str(tmp_path / out)],
        )

    return run


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_an_evaluation_gives_a_page_figures_and_a_policy(
    run: Run, people: Callable[..., Path], tmp_path: Path
) -> None:
    done = run(people(), "--about", "patterns", "--limits", "Nothing real.")

    assert done.exit_code == 0, done.output
    policy = read_policy((tmp_path / "out" / "policy.json").read_bytes())
    found = report(tmp_path / "out")
    assert policy.model_digest == "d" * 64
    assert policy.threshold == found["threshold"]
    assert policy.measurement.gallery_size == 20
    assert policy.measurement.fpir.value <= 0.01
    assert policy.measurement.limits == "Nothing real."
    assert policy.measurement.dataset.startswith("patterns (120 photographs of 40 people")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "http://" not in page.replace("http://www.w3.org/", "").replace(
        "http://creativecommons.org/", ""
    ).replace("http://purl.org/", "")


def test_the_same_seed_gives_the_same_files(
    run: Run, people: Callable[..., Path], tmp_path: Path
) -> None:
    folder = people(25)
    run(folder, out="one")
    run(folder, out="two")
    one, two = report(tmp_path / "one"), report(tmp_path / "two")

    for found in (one, two):
        found.pop("make_time")
    assert one == two


def test_a_wrong_label_is_shown_and_can_be_left_out(
    run: Run, people: Callable[..., Path], tmp_path: Path
) -> None:
    folder = people(30)
    shutil.copytree(folder / "p003", folder / "p003-again")

    run(folder, out="wrong")
    done = run(folder, "--leave-out", "p003-again", out="right")

    wrong, right = report(tmp_path / "wrong"), report(tmp_path / "right")
    assert {(one["first"][:4], one["second"][:10]) for one in wrong["suspects"]} == {
        ("p003", "p003-again")
    }
    assert right["suspects"] == []
    assert right["left_out"] == ["p003-again"]
    assert "wrong label" not in done.output


def test_two_people_under_one_name_are_shown(
    run: Run, people: Callable[..., Path], tmp_path: Path
) -> None:
    folder = people(25)
    shutil.copy(folder / "p004" / "0.png", folder / "p003" / "9.png")

    run(folder)

    found = report(tmp_path / "out")["doubtful"]
    assert {(one["first"], one["second"]) for one in found} == {
        (f"p003/{number}.png", "p003/9.png") for number in range(3)
    }


def test_cohorts_are_told_apart(run: Run, people: Callable[..., Path], tmp_path: Path) -> None:
    folder = people()
    lines = [f"p{number:03},{'odd' if number % 2 else 'even'}" for number in range(40)]
    (folder / "cohorts.csv").write_text("identity,number\n" + "\n".join(lines) + "\n")

    done = run(folder)

    assert done.exit_code == 0, done.exception
    ((attribute, rows),) = report(tmp_path / "out")["cohorts"]
    assert attribute == "number"
    assert [(row["name"], row["identities"]) for row in rows] == [("even", 20), ("odd", 20)]
    assert all(row["fpir"]["trials"] and row["fnir"]["trials"] for row in rows)


def test_children_are_printed_by_age_band_and_stand_in_the_policy(
    run: Run, people: Callable[..., Path], tmp_path: Path
) -> None:
    folder = people()
    ages = ["4", "9", "15", "adult"]
    lines = [f"p{number:03},{ages[min(number // 5, 3)]}" for number in range(40)]
    (folder / "cohorts.csv").write_text("identity,age\n" + "\n".join(lines) + "\n")

    done = run(folder)

    assert done.exit_code == 0, done.output
    (band,) = [line for line in done.output.splitlines() if line.startswith("6 to 12")]
    assert band.split()[3] == "5"
    assert "too few people to tell (20 are needed)" in band
    measured = read_policy((tmp_path / "out" / "policy.json").read_bytes()).measurement
    assert [row.name for row in measured.cohorts] == [
        "0 to 5", "6 to 12", "13 to 17", "under 18", "18 and older"
    ]  # fmt: skip
    assert [one.ages for one in measured_ages(measured)] == [Ages(18)]  # 15 children are too few
    assert "too few people to tell" in (tmp_path / "out" / "report.html").read_text()


def test_a_data_set_without_groups_is_told_to_say_nothing_of_children(
    run: Run, people: Callable[..., Path]
) -> None:
    assert "nothing is known of any" in run(people(25)).output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--leave-out", "nobody"), "--leave-out nobody: no such identity"),
        (("--gallery", "25"), "25 people can be enrolled, and some must be strangers"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    run: Run, people: Callable[..., Path], *, arguments: tuple[str, ...], problem: str
) -> None:
    done = run(people(25), *arguments)

    assert done.exit_code == 2
    assert problem in done.output


def test_a_file_that_is_no_picture_is_a_failure_to_acquire(
    run: Run, people: Callable[..., Path], tmp_path: Path
) -> None:
    folder = people(30)
    (folder / "p001" / "0.png").write_bytes(b"no picture")

    run(folder)

    enrolment = report(tmp_path / "out")["enrolment"]
    assert enrolment["no_face"]["value"] == pytest.approx(1 / 90)
    assert dict(enrolment["reasons"])["no_face"] == 1


def test_a_refused_photograph_is_measured_all_the_same(
    fake_pack: LoadedPack, decoder: PillowPictureDecoder, people: Callable[..., Path]
) -> None:
    measurer = Measurer(decoder, fake_pack.detector, fake_pack.recogniser, threads=1)
    photos = read_dataset(people(20)).photos[:2]

    (small, _) = measurer.measure(photos, shrunk_to(8))

    assert "too_small" in [str(one) for one in small.problems]
    assert small.template is not None


def test_pictures_are_made_worse_as_much_as_is_said() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (100, 120, 3)).astype(np.uint8)

    assert shrunk_to(20)(picture, 40.0).shape == (50, 60, 3)
    assert blurred_by(0.05)(picture, 40.0).std() < picture.std() / 3
    assert darkened_to(0.25)(picture, 40.0).mean() == pytest.approx(picture.mean() / 4, rel=0.05)
