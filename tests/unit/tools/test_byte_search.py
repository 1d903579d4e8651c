from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import byte_search
from byte_search import ByteSearch, Form, Sought, best_of
from homeward.core.vision.alignment import align
from homeward.embedded import demo
from homeward.embedding.adapters.pack import load_pack
from homeward.embedding.ports import LoadedPack

NOISE = np.random.default_rng(7).bytes(100_003)


@pytest.fixture(scope="module")
def pack() -> LoadedPack:
    return load_pack(runtime="auto", threads=1, cache=None)


@pytest.fixture(scope="module")
def crops(pack: LoadedPack) -> np.ndarray:
    """The six people of a photograph, aligned."""
    photo = cv2.imdecode(np.frombuffer(demo.group_photo(), np.uint8), cv2.IMREAD_COLOR)
    assert photo is not None
    picture = np.asarray(photo, np.uint8)
    return np.stack([align(picture, face.landmarks) for face in pack.detector.detect(picture, 0.6)])


@pytest.fixture(scope="module")
def templates(pack: LoadedPack, crops: np.ndarray) -> np.ndarray:
    return pack.recogniser.embed(crops)


@pytest.fixture(scope="module")
def search(pack: LoadedPack, crops: np.ndarray, templates: np.ndarray) -> ByteSearch:
    """Looks for the first of them, as they are and as a vector store would hold them."""
    keyed = np.asarray(templates[:1][:, ::-1], np.float32)  # any orthogonal transform
    return ByteSearch(Sought({"plain": templates[:1], "keyed": keyed}, crops[:1]), pack)


def as_jpeg(crop: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", crop)[1].tobytes()


def as_png(crop: np.ndarray) -> bytes:
    return cv2.imencode(".png", crop)[1].tobytes()


@pytest.mark.parametrize(
    ("form", "copy"),
    [
        (Form.NUMBERS, lambda t, _: t.astype("<f4").tobytes()),
        (Form.NUMBERS, lambda t, _: t.astype(">f4").tobytes()),
        (Form.NUMBERS, lambda t, _: t.astype("<f8").tobytes()),
        (Form.NUMBERS, lambda t, _: t.astype(">f8").tobytes()),
        (Form.NUMBERS, lambda t, _: t[::-1].astype("<f4").tobytes()),
        (Form.TEXT, lambda t, _: json.dumps(t.tolist()).encode()),
        (Form.TEXT, lambda t, _: " ".join(f"{value:.4f}" for value in t).encode()),
        (Form.BASE64, lambda t, _: b"key" + base64.b64encode(t.tobytes())),
        (Form.BASE64, lambda t, _: base64.urlsafe_b64encode(t.astype("<f8").tobytes())),
        (Form.BASE64, lambda _, c: base64.b64encode(as_jpeg(c))),
        (Form.PICTURE, lambda _, c: as_jpeg(c)),
        (Form.PICTURE, lambda _, c: as_png(c)),
        (Form.RAW, lambda _, c: c.tobytes()),
    ],
)
def test_a_copy_is_found_wherever_it_stands(
    search: ByteSearch,
    crops: np.ndarray,
    templates: np.ndarray,
    *,
    form: Form,
    copy: Callable[[np.ndarray, np.ndarray], bytes],
) -> None:
    data = NOISE + copy(templates[0], crops[0]) + NOISE[:5001]

    best = best_of(search.hits(data))

    assert best is not None
    assert best.form is form
    assert best.likeness > 0.9


@pytest.mark.parametrize("before", [-1, 0, 1])
def test_a_raw_crop_is_found_where_one_block_ends_and_the_next_begins(
    search: ByteSearch, crops: np.ndarray, before: int
) -> None:
    """The last run of bytes that the first block has, and those at either side."""
    start = byte_search._TRANSFORMED - crops[0].size + before
    noise = np.random.default_rng(3).bytes(start)

    best = best_of(search.hits(noise + crops[0].tobytes() + NOISE))

    assert best is not None
    assert (best.form, best.likeness) == (Form.RAW, pytest.approx(1, abs=1e-3))


def test_what_was_searched_before_is_found_again(search: ByteSearch, crops: np.ndarray) -> None:
    data = NOISE + crops[0].tobytes()

    assert best_of(search.hits(data)) == best_of(search.hits(data)) is not None


def test_another_person_is_not_taken_for_the_one_looked_for(
    search: ByteSearch, crops: np.ndarray, templates: np.ndarray
) -> None:
    others = b"".join(
        [
            *(template.tobytes() for template in templates[1:]),
            json.dumps(templates[1:].tolist()).encode(),
            *(as_jpeg(crop) for crop in crops[1:]),
            *(crop.tobytes() for crop in crops[1:]),
        ]
    )

    assert search.hits(NOISE + others) == []


def test_a_later_picture_of_a_walk_is_still_the_same_person(
    search: ByteSearch, crops: np.ndarray
) -> None:
    shifted = np.roll(cv2.GaussianBlur(crops[0], (3, 3), 0), (1, 1), axis=(0, 1))

    best = best_of(search.hits(NOISE + shifted.tobytes()))

    assert best is not None
    assert best.form is Form.RAW


def test_nothing_is_found_in_noise_and_in_code(search: ByteSearch) -> None:
    assert search.hits(NOISE + Path(__file__).read_bytes() + bytes(200_000)) == []
