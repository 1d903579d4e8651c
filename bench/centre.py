"""Make the centres of SFace's templates from labelled photographs: see `adapters/centred.py`.

    python bench/centre.py --faces ../shared/data/faces

Of the people with one photograph, whom no evaluation enrols, the mean of each photograph as it is,
and the means of what cameras would have made of it from farther away. What is written is a vector
for each size, of all of them together; it tells nothing of any of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from degrading import FACE_WIDTHS_PX, as_cameras_see

from homeward.core.vision.alignment import align
from homeward.embedding.adapters import yunet_sface
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.usecases import AnalyzePhoto

OUT = yunet_sface.FOLDER / yunet_sface.CENTRES.name

CLEAR_WIDTH_PX = 80.0
"""Width of a face from which on it is as clear as in a photograph: twice the largest of
`FACE_WIDTHS_PX`, whose mean already is near."""

SHARES = np.array([1.0, 1.0, 0.75, 0.25])
"""Of each mean that is taken off a face in footage of that width. A wide one hardly differs from a
photograph; with all of its mean taken off, a speaker of 45 to 70 pixels in real footage was less
alike to his photographs by 0.02, and on street footage nobody was found more
(docs/evaluation.md)."""

PHOTOGRAPH_WEIGHTS = np.array([*(1.0 for _ in FACE_WIDTHS_PX), 2.0])
"""Of the means at the widths that cameras see, and of the photographs as they are, in the centre of
reference photographs: those are of all kinds."""


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="photographs, `identity/*.jpg`")
    people = [
        photos[0]
        for folder in sorted(parser.parse_args().faces.iterdir())
        if len(photos := sorted(folder.glob("*.jpg"))) == 1
    ]
    detector, recogniser = yunet_sface.models(runtime="auto", threads=1, cache=None)
    judge = AnalyzePhoto(PillowPictureDecoder(), detector, recogniser).judge
    seen = []
    for photo in people:
        image = PillowPictureDecoder().decode_photo(photo.read_bytes()).image
        found = judge(image)
        if not found.problems:
            face = align(image, found.faces[0].detection.landmarks)
            seen.append(recogniser.embed(np.concatenate([as_cameras_see(face), face[None]])))
    means = np.mean(seen, axis=0)
    photograph = np.average(means, axis=0, weights=PHOTOGRAPH_WEIGHTS)
    columns = np.stack([photograph, *(SHARES[:, None] * means)], axis=1)
    widths = " ".join(f"{width:g}" for width in (*FACE_WIDTHS_PX, CLEAR_WIDTH_PX))
    rows = (" ".join(f"{value:.5f}" for value in row) for row in columns)
    OUT.write_text("\n".join([f"photograph {widths}", *rows, ""]))
    print(f"{len(seen)} people; lengths {np.linalg.norm(columns, axis=0).round(3)}")
    print(f"SHA-256 of {OUT.name}: {yunet_sface.digest_of(OUT.read_bytes())}")


if __name__ == "__main__":
    main()
