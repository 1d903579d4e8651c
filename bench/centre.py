"""Make the centre of SFace's templates from labelled photographs: see `adapters/centred.py`.

    python bench/centre.py --faces ../shared/data/faces

Of the people with one photograph, whom no evaluation enrols, the mean of what `reference` takes the
mean of: two parts of each photograph as it is, one of each picture that a camera would have made of
it. What is written is one vector for all of them together; it tells nothing of any of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from homeward.embedding.adapters import yunet_sface
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.references import WEIGHTS, seen
from homeward.embedding.usecases import AnalyzePhoto
from homeward.vision.alignment import align

OUT = yunet_sface.FOLDER / yunet_sface.CENTRE.name


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
    means = []
    for photo in people:
        image = PillowPictureDecoder().decode_photo(photo.read_bytes()).image
        found = judge(image)
        if not found.problems:
            face = align(image, found.faces[0].detection.landmarks)
            means.append(np.average(recogniser.embed(seen(face)), axis=0, weights=WEIGHTS))
    centre = np.mean(means, axis=0)
    OUT.write_text("".join(f"{value:.5f}\n" for value in centre))
    print(f"{len(means)} people; length {np.linalg.norm(centre):.3f}")
    print(f"SHA-256 of {OUT.name}: {yunet_sface.digest_of(OUT.read_bytes())}")


if __name__ == "__main__":
    main()
