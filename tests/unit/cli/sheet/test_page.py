from __future__ import annotations

import io
import re
from datetime import UTC
from html.parser import HTMLParser

import pytest
from PIL import Image

from homeward.cli.sheet import drawing, page
from homeward.cli.sheet.facts import Gap, Person, Picture, Place, Stretch
from sheet_values import NOON, candidate, searched, sheet

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202efdp\x1b[2J"
PLACE = Place(HOSTILE, HOSTILE, (51.0, 0.0))


class Tags(HTMLParser):
    """Elements of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def hostile() -> bytes:
    made = sheet(
        person=Person(HOSTILE, HOSTILE, HOSTILE, [Picture(b"\xff\xd8", HOSTILE, HOSTILE)], 1),
        candidates=[
            candidate(
                place=PLACE,
                when=HOSTILE,
                state=HOSTILE,
                judged=HOSTILE,
                stills=[Picture(b"\xff\xd8", HOSTILE, HOSTILE)],
            ),
            candidate(2, place=PLACE, stills=[], without_still=HOSTILE, doubtful=True),
        ],
        places=[PLACE, Place("x", HOSTILE, None)],
        searched=searched(
            {HOSTILE: [(NOON, NOON + 60)]},
            gaps=[Gap(HOSTILE, (NOON, NOON + 9), HOSTILE, HOSTILE)],
            stretches=[Stretch(HOSTILE, (NOON, NOON + 9), HOSTILE, "1", 2, HOSTILE, HOSTILE)],
        ),
        worth=[HOSTILE],
        warnings=[HOSTILE],
        unknown=[HOSTILE],
        zone=HOSTILE,
    )
    return page.render(made, UTC)


def test_what_others_wrote_is_text() -> None:
    written = hostile().decode()
    tags = Tags()
    tags.feed(written)

    assert {"script", "iframe", "object", "a", "link"}.isdisjoint(tag for tag, _ in tags.found)
    assert not [name for _, attrs in tags.found for name in attrs if name.startswith("on")]
    sources = [attrs["src"] or "" for tag, attrs in tags.found if tag == "img"]
    assert len(sources) == 2
    assert all(one.startswith("data:image/jpeg;base64,") for one in sources)
    assert not {one for one in written if not one.isprintable() and one != "\n"}


def test_a_page_may_load_and_run_nothing() -> None:
    written = hostile().decode()
    style = re.search(r"<style>(.*)</style>", written, re.DOTALL)
    tags = Tags()
    tags.feed(written)

    assert style is not None
    policies = [attrs["content"] for _, attrs in tags.found if attrs.get("http-equiv") is not None]
    assert policies == [page.policy_of(style[1])]
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in str(policies[0])
    assert not [attrs for _, attrs in tags.found if "style" in attrs]
    assert "url(http" not in written


def test_every_picture_has_words_in_its_place() -> None:
    tags = Tags()
    tags.feed(page.render(sheet(), UTC).decode())

    assert all(attrs["alt"] for tag, attrs in tags.found if tag == "img")
    drawings = [attrs for tag, attrs in tags.found if tag == "svg" and attrs.get("role") == "img"]
    assert len(drawings) == 2
    assert all(attrs["aria-label"] for attrs in drawings)


@pytest.mark.parametrize(
    ("count", "said"), [(0, "No candidates."), (1, "1 candidate."), (2, "2 candidates.")]
)
def test_how_many_there_are_is_said(count: int, said: str) -> None:
    made = sheet(candidates=[candidate(number + 1) for number in range(count)])

    assert f"<p>{said}" in page.render(made, UTC).decode()


def test_a_png_has_the_whole_sheet() -> None:
    few = Image.open(io.BytesIO(drawing.draw(sheet(), UTC)))
    more = sheet(candidates=[candidate(number + 1, number) for number in range(7)])
    many = Image.open(io.BytesIO(drawing.draw(more, UTC)))

    assert few.width == many.width == 1240
    assert many.height - few.height > 700


def test_a_still_that_is_no_picture_leaves_the_others() -> None:
    bad = candidate(2, stills=[Picture(b"\xff\xd8\xffno", "", "")])

    assert drawing.draw(sheet(candidates=[candidate(1), bad, candidate(3)]), UTC)
