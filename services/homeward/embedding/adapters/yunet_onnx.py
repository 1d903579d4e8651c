"""Packs `onnx:NAME`: YuNet, which comes with Homeward, and a recogniser that an operator installed.

For weights of any publisher, such as AdaFace's or AuraFace's: no other package is needed to run
them, and no detector whose licence is another matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from homeward.core.packs import Pack, PackError, PackFile
from homeward.core.vision.alignment import ALIGNED_SIDE, ALIGNMENT_VERSION
from homeward.embedding.adapters import yunet_sface
from homeward.embedding.adapters.onnx_recogniser import OnnxRecogniser, takes_faces
from homeward.embedding.adapters.sessions import open_session, openvino_runner, runtime_of
from homeward.embedding.adapters.yunet import YunetFaceDetector
from homeward.embedding.model import ModelFile, ModelPack, pack_digest
from homeward.embedding.ports import LoadedPack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnxruntime

PREFIX = "onnx:"


def load(
    pack: Pack,
    *,
    licence: str,
    runtime: Literal["auto", "openvino", "onnxruntime"],
    threads: int,
    cache: Path | None,
    providers: Sequence[str],
) -> LoadedPack:
    """Read, check and warm up YuNet and the recogniser of a pack.

    Args:
        pack: Its folder, files and manifest. Models that take no aligned faces are left alone.
        licence: What the operator states.
        runtime: What runs the recogniser, see `yunet_sface.load`.
        threads: How many calls may run at a time.
        cache: Directory for prepared models; None prepares them at each start.
        providers: Of onnxruntime, the preferred one first.

    Raises:
        PackError: A file is missing, damaged or another one; the pack has no recogniser, or
            several; it takes other pictures, or gives other vectors, than its manifest says.
    """
    detector = YunetFaceDetector(
        yunet_sface.folded(yunet_sface.YUNET, any_size=True, cache=cache), providers
    )
    detector.detect(np.zeros((360, 640, 3), np.uint8), 0.5)
    if runtime == "auto":
        runtime = yunet_sface.best_runtime(providers)
    file, data, session = _recogniser_of(pack, providers)
    pictures = pack.manifest.recogniser_input
    with _refused_as_ours(pack, file):
        recogniser = OnnxRecogniser(
            session,
            pictures,
            name=file.name,
            run=openvino_runner(data, threads=threads) if runtime == "openvino" else None,
        )
    trained = pack.manifest.trained_on("recogniser")
    files = (
        yunet_sface.YUNET,
        ModelFile(
            role="recogniser",
            name=file.name,
            sha256=file.sha256,
            licence=licence.strip(),
            training_data=trained.data,
            training_data_source=trained.source,
        ),
    )
    model = ModelPack(
        name=f"{PREFIX}{pack.name}",
        digest=pack_digest(files, ALIGNMENT_VERSION, pictures),
        template_size=recogniser.template_size,
        aligned_side_px=ALIGNED_SIDE,
        files=files,
        detector_runtime=detector.runtime,
        recogniser_runtime="openvino/CPU" if runtime == "openvino" else runtime_of(session),
    )
    return LoadedPack(detector, recogniser, model)


def _recogniser_of(
    pack: Pack, providers: Sequence[str]
) -> tuple[PackFile, bytes, onnxruntime.InferenceSession]:
    """Return the one model that takes aligned faces; every file is checked."""
    found = []
    for file in pack.files:
        data = pack.read(file)
        with _refused_as_ours(pack, file):
            session = open_session(data, providers)
        if takes_faces(session) or len(pack.files) == 1:  # the only one is told why it is not
            found.append((file, data, session))
    if len(found) != 1:
        names = ", ".join(file.name for file, _, _ in found)
        raise PackError(
            f"{pack.folder} has {f'several recognisers: {names}' if found else 'no recogniser'}",
            "an onnx: pack has one model that takes faces of 112 x 112; others are left alone",
        )
    return found[0]


@contextmanager
def _refused_as_ours(pack: Pack, file: PackFile) -> Iterator[None]:
    try:
        yield
    except PackError:
        raise
    except Exception as error:  # neither runtime's errors share another base
        raise PackError(
            f"{pack.folder / file.name} cannot be run ({type(error).__name__}: {error})",
            "get the file again, from whoever publishes it, or export it anew",
        ) from error
