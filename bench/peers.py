"""What users would do instead: loops over a video file. Runs in an environment of its own.

    peers.py LOOP FOOTAGE [--references FILE.json]
             [--detector FILE.onnx --recogniser FILE.onnx | --pack FOLDER]

Prints one JSON document: seconds, CPU seconds, peak memory, and the rows that a reviewer would get.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

EVERY = 5
SFACE_THRESHOLD = 0.45
ARCFACE_THRESHOLD = 0.40


def decode(path: str, skip: str) -> int:
    """PyAV with its own choice of threads; nothing is done with the pictures."""
    import av  # noqa: PLC0415 - only here

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.skip_frame = skip
        return sum(1 for _ in container.decode(stream))


def every_fifth(path: str) -> Iterator[tuple[float, Any]]:
    """Yield every fifth picture and its time, as most loops on the web do."""
    import cv2  # noqa: PLC0415 - only here

    video = cv2.VideoCapture(path)
    rate, number = video.get(cv2.CAP_PROP_FPS), 0
    while True:
        good, picture = video.read()
        if not good:
            return
        if number % EVERY == 0:
            yield number / rate, picture
        number += 1


def cv2_loop(path: str, references: dict[str, list[str]], options: Any) -> list[Any]:  # noqa: ANN401 - argparse's
    """FaceDetectorYN and FaceRecognizerSF."""
    import cv2  # noqa: PLC0415 - only here

    detector = cv2.FaceDetectorYN.create(options.detector, "", (320, 320), 0.6)
    recogniser = cv2.FaceRecognizerSF.create(options.recogniser, "")

    def templates(picture: Any, least: int = 0) -> list[Any]:  # noqa: ANN401 - a picture
        detector.setInputSize((picture.shape[1], picture.shape[0]))
        faces = detector.detect(picture)[1]
        found = [] if faces is None else [face for face in faces if face[2] >= least]
        vectors = [
            recogniser.feature(recogniser.alignCrop(picture, face)).ravel() for face in found
        ]
        return [vector / np.linalg.norm(vector) for vector in vectors]

    gallery = {
        name: [one for photo in photos for one in templates(cv2.imread(photo))[:1]]
        for name, photos in references.items()
    }
    return rows(
        ((at, templates(picture, 24)) for at, picture in every_fifth(path)),
        gallery,
        SFACE_THRESHOLD,
    )


def insightface_loop(path: str, references: dict[str, list[str]], options: Any) -> list[Any]:  # noqa: ANN401 - argparse's
    """`FaceAnalysis` with detection and recognition."""
    import cv2  # noqa: PLC0415 - only here
    from insightface.app import FaceAnalysis  # noqa: PLC0415 - only here

    analysis = FaceAnalysis(
        name=options.pack,  # a folder: all of its models are loaded, and nothing is downloaded
        allowed_modules=["detection", "recognition"],
        providers=["CPUExecutionProvider"],
    )
    analysis.prepare(ctx_id=-1, det_size=(640, 640))
    gallery = {
        name: [
            face.normed_embedding
            for photo in photos
            for face in analysis.get(cv2.imread(photo))[:1]
        ]
        for name, photos in references.items()
    }
    found = (
        (at, [face.normed_embedding for face in analysis.get(picture)])
        for at, picture in every_fifth(path)
    )
    return rows(found, gallery, ARCFACE_THRESHOLD)


def rows(found: Any, gallery: dict[str, list[Any]], threshold: float) -> list[Any]:  # noqa: ANN401 - a generator
    """Return one row for each face and subject at or above the threshold."""
    return [
        [at, name, round(float(score), 3)]
        for at, templates in found
        for template in templates
        for name, references in gallery.items()
        if references and (score := max(float(r @ template) for r in references)) >= threshold
    ]


def main() -> None:
    """Run one loop and print what it took and found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loop", choices=["decode", "keys", "cv2", "insightface"])
    parser.add_argument("footage")
    parser.add_argument("--references", type=Path)
    parser.add_argument("--detector")
    parser.add_argument("--recogniser")
    parser.add_argument("--pack")
    options = parser.parse_args()
    references = json.loads(options.references.read_text()) if options.references else {}
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    found: list[Any] = []
    if options.loop in ("decode", "keys"):
        decode(options.footage, "DEFAULT" if options.loop == "decode" else "NONKEY")
    elif options.loop == "cv2":
        found = cv2_loop(options.footage, references, options)
    else:
        found = insightface_loop(options.footage, references, options)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(
        json.dumps(
            {"seconds": seconds, "cpu": spent, "peak_mb": after.ru_maxrss / 1024, "rows": found}
        )
    )


if __name__ == "__main__":
    main()
