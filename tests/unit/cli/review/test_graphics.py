"""Pictures as escapes for terminals."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from homeward.cli import terminal
from homeward.cli.review import graphics
from homeward.cli.review.graphics import Cell, Drawing, Protocol, detected, drawn

KITTY_SAYS = "\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;c"
SIXEL_SAYS = "\x1b[6;20;10t\x1b[?62;4;22c"
XTERM_SAYS = "\x1b[?64;1;2;22c"


def picture(width: int = 64, height: int = 26) -> Image.Image:
    made = Image.new("RGB", (width, height), (255, 0, 0))
    made.paste((0, 0, 255), (width // 2, 0, width, height))
    return made


@pytest.mark.parametrize(
    ("environment", "answer", "expected"),
    [
        ({"TERM": "xterm-kitty"}, KITTY_SAYS, Drawing(Protocol.KITTY, Cell(10, 20))),
        ({"TERM": "xterm-256color"}, SIXEL_SAYS, Drawing(Protocol.SIXEL, Cell(10, 20))),
        ({"TERM": "xterm-256color"}, XTERM_SAYS, Drawing(None, Cell())),
        ({"TERM": "xterm-256color"}, "", Drawing(None, Cell())),
        ({"TERM": "xterm", "TERM_PROGRAM": "iTerm.app"}, "", Drawing(Protocol.ITERM2, Cell())),
        # iTerm2 over ssh: LC_* variables are passed on.
        (
            {"TERM": "xterm", "LC_TERMINAL": "iTerm2"},
            SIXEL_SAYS,
            Drawing(Protocol.ITERM2, Cell(10, 20)),
        ),
    ],
)
def test_a_terminal_says_how_it_draws(
    environment: dict[str, str], answer: str, expected: Drawing
) -> None:
    assert detected(environment, lambda _: answer) == expected


@pytest.mark.parametrize("term", ["dumb", "linux", ""])
def test_a_terminal_that_draws_nothing_is_asked_nothing(term: str) -> None:
    asked: list[str] = []

    assert detected({"TERM": term}, lambda query: asked.append(query) or "").protocol is None
    assert asked == []


def test_kitty_gets_a_png_in_chunks_of_base64() -> None:
    noise = Image.effect_noise((200, 100), 90).convert("RGB")
    text = graphics.kitty(noise, columns=20, rows=5)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    heads, data = zip(*chunks, strict=True)

    assert heads[0] == "a=T,f=100,q=2,c=20,r=5,m=1"
    assert set(heads[1:-1]) == {"m=1"}
    assert heads[-1] == "m=0"
    assert max(map(len, data)) == 4096
    shown = Image.open(io.BytesIO(base64.b64decode("".join(data))))
    assert shown.tobytes() == noise.tobytes()


def test_iterm2_gets_a_file_in_base64() -> None:
    text = graphics.iterm2(picture(), columns=20, rows=5)
    match = re.fullmatch(
        r"\x1b\]1337;File=inline=1;size=(\d+);width=20;height=5;preserveAspectRatio=1:(.*)\x07",
        text,
    )

    assert match is not None
    file = base64.b64decode(match[2])
    assert len(file) == int(match[1])
    assert Image.open(io.BytesIO(file)).tobytes() == picture().tobytes()


def from_sixels(text: str) -> Image.Image:
    """Draw sixels, as a terminal does."""
    match = re.fullmatch(r'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\', text, re.DOTALL)
    assert match is not None
    canvas = Image.new("RGB", (int(match[1]), int(match[2])), (1, 2, 3))
    palette: dict[int, tuple[int, ...]] = {}
    x = y = colour = 0
    tokens = re.findall(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)(.)|(.)", match[3])
    for number, red, green, blue, chosen, times, repeated, plain in tokens:
        if number:
            palette[int(number)] = tuple(int(one) * 255 // 100 for one in (red, green, blue))
        elif chosen:
            colour = int(chosen)
        elif plain == "$":
            x = 0
        elif plain == "-":
            x, y = 0, y + 6
        else:
            bits = ord(repeated or plain) - 63
            width = int(times or 1)
            for row in (row for row in range(6) if bits >> row & 1):
                assert x + width <= canvas.width
                assert y + row < canvas.height
                canvas.paste(palette[colour], (x, y + row, x + width, y + row + 1))
            x += width
    return canvas


@pytest.mark.parametrize("size", [(64, 26), (7, 6), (1, 1), (300, 13)])
def test_sixels_show_every_pixel_in_its_colour(size: tuple[int, int]) -> None:
    assert from_sixels(graphics.sixel(picture(*size))).tobytes() == picture(*size).tobytes()


def test_sixels_of_a_photograph_are_nearly_its_colours() -> None:
    made = Image.linear_gradient("L").resize((90, 61)).convert("RGB")
    shown = from_sixels(graphics.sixel(made))
    differences = [abs(a - b) for a, b in zip(made.tobytes(), shown.tobytes(), strict=True)]

    assert max(differences) <= 12


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_picture_is_as_large_as_fits_and_a_terminal_takes_it(
    protocol: Protocol, capsys: pytest.CaptureFixture[str]
) -> None:
    text = drawn(picture(1600, 400), Drawing(protocol, Cell(10, 20)), columns=80, rows=5)
    terminal.draw(text)

    assert text.endswith("\n")
    # 400 x 100 pixels: five lines of 20, and 40 columns of 10.
    marks = {"kitty": "c=40,r=5,", "iterm2": "width=40;height=5;", "sixel": '"1;1;400;100'}
    assert marks[protocol] in capsys.readouterr().out


def test_a_small_picture_is_not_enlarged() -> None:
    text = drawn(picture(64, 26), Drawing(Protocol.SIXEL, Cell()), columns=80, rows=20)

    assert '"1;1;64;26' in text


def test_nothing_but_a_drawing_is_drawn() -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        terminal.draw("\x1b]0;title\u202e\x07")
