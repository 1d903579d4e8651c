from __future__ import annotations

import click
import pytest

from homeward.embedded import demo_pictures
from homeward.embedded.demo_pictures import PackagedPicture, demo_photos

ABSENT = PackagedPicture("no-such-distribution", "a.jpg")
PRESENT = PackagedPicture("matplotlib", "sample_data/grace_hopper.jpg")


def test_the_group_is_taken_where_it_is() -> None:
    (photo,) = demo_photos()

    assert photo.startswith(b"\xff\xd8")


def test_portraits_are_taken_where_the_group_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_pictures, "GROUP", ABSENT)
    monkeypatch.setattr(demo_pictures, "PORTRAITS", (PRESENT, PRESENT))

    assert len(demo_photos()) == 2


@pytest.mark.parametrize("other", [ABSENT, PackagedPicture("matplotlib", "no-such-picture.jpg")])
def test_one_portrait_alone_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, other: PackagedPicture
) -> None:
    monkeypatch.setattr(demo_pictures, "GROUP", ABSENT)
    monkeypatch.setattr(demo_pictures, "PORTRAITS", (PRESENT, other))

    with pytest.raises(click.ClickException, match=r"pip install 'homeward-cctv\[demo\]'"):
        demo_photos()
