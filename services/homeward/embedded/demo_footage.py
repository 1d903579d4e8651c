"""Street footage made on the spot: six people from one photograph walk through a drawn street."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 1280, 720, 25
CROSSING_SECONDS = 5.0
HEAD_PX = 120
"""Height of a walker's head."""

EMPTY_SECONDS = 1.0
"""Between two walkers, and at both ends."""

_NOISE = 4.0

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FaceBox:
    """Where a face is in the photograph: left, top, width and height in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Street:
    """Footage in which people walk by, and a portrait of each, from left to right."""

    footage: Path
    portraits: list[Path]


def write_street(folder: Path, photo: bytes, boxes: Sequence[FaceBox]) -> Street:
    """Write `street.mp4` and the portraits of everybody in it to a folder.

    Args:
        folder: Is there.
        photo: A picture file.
        boxes: The faces in it.
    """
    picture = pixels(photo)
    street = Street(
        folder / "street.mp4", [folder / f"portrait-{number}.png" for number in range(len(boxes))]
    )
    for path, box in zip(street.portraits, boxes, strict=True):
        cv2.imwrite(str(path), reference_photo(picture, box))
    write_footage(street.footage, [cut_head(picture, box) for box in boxes])
    return street


def pixels(photo: bytes) -> Picture:
    """Return what a picture file shows, BGR, shape (height, width, 3)."""
    picture = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "the photograph is a picture"
    return np.asarray(picture, np.uint8)


def cut_head(photo: Picture, box: FaceBox) -> Picture:
    """Return the square around a face, hair and chin included, shape (side, side, 3)."""
    side = int(max(box.width, box.height) * 1.45)
    x = int(box.x + box.width / 2 - side / 2)
    y = int(box.y + box.height / 2 - side * 0.55)
    padded = cv2.copyMakeBorder(photo, side, side, side, side, cv2.BORDER_REPLICATE)
    return np.asarray(padded[y + side : y + 2 * side, x + side : x + 2 * side], np.uint8)


def reference_photo(photo: Picture, box: FaceBox) -> Picture:
    """Return a portrait that is not the picture in the footage: mirrored, tilted, warmer, larger.

    There is only one photograph of each person. A real reference is another picture altogether.
    """
    head = cv2.resize(cut_head(photo, box), (400, 400), interpolation=cv2.INTER_CUBIC)
    tilted = cv2.warpAffine(
        head[:, ::-1],
        cv2.getRotationMatrix2D((200, 200), 6, 1.0),
        (400, 400),
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(np.clip(tilted * np.array([0.85, 0.95, 1.05]) + 6, 0, 255), np.uint8)


def seconds_for(people: int) -> float:
    """Return how long the footage of so many people is."""
    return people * (CROSSING_SECONDS + EMPTY_SECONDS) + EMPTY_SECONDS


def write_footage(path: Path, heads: Sequence[Picture]) -> None:
    """Write an H.264 file in which the heads walk through the street, one after the other."""
    rng = np.random.default_rng(20261120)
    street = _street(rng)
    noise = rng.normal(0, _NOISE, (HEIGHT + 32, WIDTH + 32, 1)).astype(np.int16).repeat(3, axis=2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        stream.options = {"preset": "veryfast", "crf": "24", "g": str(2 * RATE)}
        for index in range(int(seconds_for(len(heads)) * RATE)):
            picture = street.copy()
            slot, at = divmod(index / RATE - EMPTY_SECONDS, CROSSING_SECONDS + EMPTY_SECONDS)
            if slot >= 0 and at < CROSSING_SECONDS:
                number = int(slot)
                _walk(picture, heads[number], at / CROSSING_SECONDS, number)
            dy, dx = rng.integers(0, 32, 2)
            grain = noise[dy : dy + HEIGHT, dx : dx + WIDTH]
            picture = np.asarray(cv2.add(picture, grain, dtype=cv2.CV_8U), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _street(rng: np.random.Generator) -> Picture:
    """Draw sky, houses with windows, and a pavement."""
    horizon = int(HEIGHT * 0.45)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:horizon] = (176, 164, 150)
    picture[horizon:] = np.linspace(105, 150, HEIGHT - horizon)[:, None, None]
    for left in range(0, WIDTH, 160):
        colour = [int(value) for value in rng.integers(90, 170, 3)]
        top = int(rng.integers(30, horizon // 2))
        cv2.rectangle(picture, (left, top), (left + 156, horizon), colour, -1)
        for x in range(left + 18, left + 140, 44):
            for y in range(top + 20, horizon - 50, 58):
                cv2.rectangle(picture, (x, y), (x + 24, y + 34), (70, 66, 60), -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.4), np.uint8)


def _walk(picture: Picture, head: Picture, progress: float, number: int) -> None:
    """Draw a walker who has come so far, in [0, 1), from one side to the other."""
    forward = progress if number % 2 == 0 else 1 - progress
    x = int(HEAD_PX + forward * (WIDTH - 2 * HEAD_PX))
    y = int(HEIGHT * 0.36 + 4 * np.sin(progress * 40))
    coat = ((70, 50, 40), (60, 90, 60), (50, 50, 120), (110, 80, 50), (90, 60, 100), (40, 90, 110))
    body = (int(HEAD_PX * 0.75), int(HEAD_PX * 1.5))
    cv2.ellipse(picture, (x, y + int(HEAD_PX * 1.8)), body, 0, 0, 360, coat[number % len(coat)], -1)
    small = cv2.resize(head, (HEAD_PX, HEAD_PX), interpolation=cv2.INTER_AREA)
    moved = cv2.blur(small, (3, 1)).astype(np.float32)  # they walk while the shutter is open
    mask = np.zeros((HEAD_PX, HEAD_PX), np.float32)
    middle, radii = (HEAD_PX // 2, HEAD_PX // 2), (int(HEAD_PX * 0.42), int(HEAD_PX * 0.48))
    cv2.ellipse(mask, middle, radii, 0, 0, 360, 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 3), np.float32)[..., None]
    region = picture[y - HEAD_PX // 2 : y + HEAD_PX // 2, x - HEAD_PX // 2 : x + HEAD_PX // 2]
    region[:] = (region * (1 - soft) + moved * soft).astype(np.uint8)
