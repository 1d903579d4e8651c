from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from homeward.evaluation.dataset import DatasetError, read_dataset, read_footage


def test_photographs_are_read_by_person(people: Callable[..., Path]) -> None:
    data = read_dataset(people(25, 2))

    assert len(data.identities) == 25
    assert len(data.photos) == 50


def test_the_digest_is_of_names_and_bytes(people: Callable[..., Path]) -> None:
    folder = people(20, 2)
    before = read_dataset(folder).digest()
    assert read_dataset(folder).digest() == before

    photo = folder / "p000" / "0.png"
    photo.write_bytes(photo.read_bytes() + b" ")
    after = read_dataset(folder).digest()
    assert after != before
    photo.rename(folder / "p000" / "00.png")
    assert read_dataset(folder).digest() != after


def test_too_few_people_are_refused(people: Callable[..., Path]) -> None:
    folder = people(19)
    with pytest.raises(DatasetError, match="of 19 people"):
        read_dataset(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        read_dataset(tmp_path / "nowhere")


def test_cohorts_are_read_by_attribute(people: Callable[..., Path]) -> None:
    folder = people(20)
    (folder / "cohorts.csv").write_text("identity,age,skin\np000,child,II\np001,adult,\n")

    assert read_dataset(folder).cohorts == {
        "age": {"p000": "child", "p001": "adult"},
        "skin": {"p000": "II"},
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name,age\np000,child\n", "column `identity`"),
        ("identity\np000\n", "at least one more"),
        ("identity,age\np999,child\n", "line 2: no photographs of 'p999'"),
    ],
)
def test_wrong_cohorts_are_refused_with_their_place(
    people: Callable[..., Path], *, text: str, problem: str
) -> None:
    folder = people(20)
    (folder / "cohorts.csv").write_text(text)

    with pytest.raises(DatasetError, match=problem):
        read_dataset(folder)


TRUTH = {
    "subjects": {"anna": ["anna/1.jpg"]},
    "appearances": [{"identity": "anna", "first": 1.5, "last": 4, "head_px": [30, 60]}],
}


def photograph(folder: Path) -> None:
    (folder / "anna").mkdir()
    (folder / "anna" / "1.jpg").write_bytes(b"")


def recording(folder: Path) -> None:
    (folder / "a.mp4").write_bytes(b"")
    (folder / "a.json").write_text(json.dumps(TRUTH))


def test_recordings_come_with_their_truth(tmp_path: Path) -> None:
    recording(tmp_path)
    photograph(tmp_path)
    (tmp_path / "b.mp4").write_bytes(b"")

    (clip,) = read_footage(tmp_path)

    assert clip.path == tmp_path / "a.mp4"
    assert clip.references == {"anna": (tmp_path / "anna/1.jpg",)}
    assert (clip.appearances[0].last, clip.appearances[0].head_px) == (4.0, (30, 60))


def test_paths_of_a_truth_file_begin_in_the_working_directory_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = tmp_path / "working"
    working.mkdir()
    photograph(working)
    photograph(tmp_path)
    recording(tmp_path)
    monkeypatch.chdir(working)

    (clip,) = read_footage(tmp_path)

    assert clip.references == {"anna": (Path("anna/1.jpg"),)}


def test_a_photograph_that_is_not_there_is_named_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    recording(tmp_path)

    with pytest.raises(DatasetError, match=r"a\.json: its reference photograph anna/1\.jpg is"):
        read_footage(tmp_path)


def test_a_truth_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "a.json").write_text('{"subjects": {}}')

    with pytest.raises(DatasetError, match=r"a\.json: no truth file: KeyError\('appearances'\)"):
        read_footage(tmp_path)


def test_a_folder_without_truth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")

    with pytest.raises(DatasetError, match="truth file"):
        read_footage(tmp_path)
