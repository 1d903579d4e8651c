"""InsightFace packs: SCRFD and ArcFace, run by the `insightface` package's own classes.

Only the two classes are used, with sessions of our own; what else the package does, such as
fetching a pack that is missing, is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from homeward.core.distribution import how_to_install
from homeward.core.pack_manifest import ColourOrder
from homeward.core.packs import Pack, PackError, PackFile
from homeward.core.vision.alignment import ALIGNED_SIDE, ALIGNMENT_VERSION
from homeward.embedding.adapters.onnx_recogniser import OnnxRecogniser
from homeward.embedding.adapters.sessions import open_session, runtime_of
from homeward.embedding.model import Box, Detection, Image, ModelFile, ModelPack, pack_digest
from homeward.embedding.ports import LoadedPack

_STEP = 32
"""SCRFD's coarsest grid, pixels."""
_LANDMARKS = 5
_MEAN = _STD = 127.5
"""What all of InsightFace's public recognisers were trained with."""
_WARM_SIDE = 640
_BATCH = 4
"""Most faces in a run: more gain nothing (17.2 ms a face alone, 16.4 of 4, 17.0 of 8)."""
_DETECTOR_OUTPUTS = (6, 9, 10, 15)
"""How many outputs SCRFD may have; the other models have fewer."""
_NEW_MANIFEST = "manifest.json"


def require_licence(name: str, licence: str) -> None:
    """Refuse weights of which nobody says that they may be used.

    Raises:
        PackError: There is no statement.
    """
    if not licence.strip():
        raise PackError(
            f"nobody has said under which licence {name} is used (InsightFace's public weights are"
            " for non-commercial research only; AdaFace's rest on data that are)",
            "when you have the right to use them, set HOMEWARD_MODEL_LICENCE to the licence's name"
            " or to what you agreed with their owner; clients see it",
        )


def load(pack: Pack, *, licence: str, providers: Sequence[str]) -> LoadedPack:
    """Read, check and warm up the models of a pack.

    Args:
        pack: Its folder and files.
        licence: What the operator states.
        providers: Of onnxruntime, the preferred one first.

    Raises:
        PackError: A file is missing, damaged or another one; the pack has no detector or no
            recogniser, or one that needs other pictures; a package or provider is missing.
    """
    models = _by_role(pack)
    arcface, scrfd = _classes(pack)
    files = tuple(
        ModelFile(
            role=role,
            name=file.name,
            sha256=file.sha256,
            licence=licence.strip(),
            training_data=pack.manifest.trained_on(role).data,
            training_data_source=pack.manifest.trained_on(role).source,
        )
        for role, (file, _) in models.items()
    )
    pictures = pack.manifest.recogniser_input
    with _refused_as_ours(pack):
        eyes, memory = (open_session(data, providers) for _, data in models.values())
        # By default each picture size would get a session of its own, for ever.
        detector = ScrfdFaceDetector(scrfd(session=eyes, static_shape_sessions=False))
        recogniser = _recogniser(pack, models["recogniser"][0], arcface, memory)
    return LoadedPack(
        detector,
        recogniser,
        ModelPack(
            name=f"insightface:{pack.name}",
            digest=pack_digest(files, ALIGNMENT_VERSION, pictures),
            template_size=recogniser.template_size,
            aligned_side_px=ALIGNED_SIDE,
            files=files,
            detector_runtime=runtime_of(eyes),
            recogniser_runtime=runtime_of(memory),
        ),
    )


def _recogniser(
    pack: Pack,
    file: PackFile,
    arcface: Any,  # noqa: ANN401 - insightface ships no types
    session: InferenceSession,
) -> ArcfaceRecogniser | OnnxRecogniser:
    """Return what runs the recogniser: the package's own class where that gives what it takes."""
    pictures = pack.manifest.recogniser_input
    if (pictures.colour_order, pictures.mean, pictures.scale) != (ColourOrder.RGB, _MEAN, _STD):
        return OnnxRecogniser(session, pictures, name=file.name)
    path = pack.folder / file.name
    recogniser = ArcfaceRecogniser(arcface(model_file=str(path), session=session))
    if pictures.template_size not in (None, recogniser.template_size):
        raise PackError(
            f"{path} gives templates of {recogniser.template_size} values, and the pack's manifest"
            f" says {pictures.template_size}",
            "install the pack again, as of the family that gives such templates",
        )
    return recogniser


class ScrfdFaceDetector:
    """Finds faces; pictures may have any size, and are never enlarged.

    Every call runs in its caller's thread. A graph with a fixed picture size sees larger pictures
    shrunk to it, and smaller ones with a border: enlarged, as the package would, they show faces
    too large for it (it then sees none in 5 of 404 photographs, and 7 fewer can serve).

    Args:
        scrfd: An `insightface.model_zoo.SCRFD`.

    Raises:
        PackError: It gives no five landmarks, which alignment needs.
    """

    def __init__(self, scrfd: Any) -> None:  # noqa: ANN401 - insightface ships no types
        self._scrfd = scrfd
        width, height = scrfd.static_input_size or (_WARM_SIDE, _WARM_SIDE)
        # Every cell of an empty picture counts as a face here, to see what comes with one.
        _, _, landmarks = scrfd.forward(np.zeros((height, width, 3), np.uint8), 0.0)
        if not landmarks or landmarks[0].shape[1:] != (_LANDMARKS, 2):
            raise PackError(
                "the detector gives no five landmarks for each face",
                "use one that does; InsightFace calls them `kps` or `bnkps`",
            )
        self.detect(np.zeros((height // 2, width, 3), np.uint8), 0.5)  # of another size

    def detect(self, image: Image, min_score: float) -> list[Detection]:
        """Return the faces of a picture, surest first."""
        padded = _padded(image, self._scrfd.static_input_size)
        size = (padded.shape[1], padded.shape[0])
        found, landmarks = self._scrfd.detect(padded, input_size=size, det_thresh=min_score)
        return [
            Detection(
                box=Box(float(x), float(y), float(right - x), float(bottom - y)),
                landmarks=points.astype(np.float32),
                score=float(score),
            )
            for (x, y, right, bottom, score), points in zip(found, landmarks, strict=True)
        ]


class ArcfaceRecogniser:
    """Embeds faces; every call runs in its caller's thread.

    Args:
        arcface: An `insightface.model_zoo.ArcFaceONNX`.

    Raises:
        PackError: It needs other pictures than the aligned ones.
    """

    def __init__(self, arcface: Any) -> None:  # noqa: ANN401 - insightface ships no types
        self._arcface = arcface
        # The package guesses both from the names of nodes in the graph.
        if (arcface.input_mean, arcface.input_std) != (_MEAN, _STD):
            raise PackError(
                f"the recogniser takes pictures less {arcface.input_mean:g}, divided by"
                f" {arcface.input_std:g}, as far as the insightface package can tell",
                f"only such as take {_MEAN:g} for both are read",
            )
        batch = arcface.input_shape[0]
        self._batch = batch if isinstance(batch, int) else _BATCH
        # One more than a batch, so that a graph for another number of them fails here.
        empty = np.zeros((self._batch + 1, ALIGNED_SIDE, ALIGNED_SIDE, 3), np.uint8)
        self.template_size = self.embed(empty).shape[1]

    def embed(
        self, faces: NDArray[np.uint8], widths_px: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return unit-length vectors, shape (n, d), of faces, BGR, shape (n, 112, 112, 3)."""
        del widths_px
        vectors = np.concatenate(
            [
                self._arcface.get_feat(list(faces[i : i + self._batch]))
                for i in range(0, len(faces), self._batch)
            ]
        )
        result: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return result


def _padded(image: Image, fixed: tuple[int, int] | None) -> cv2.typing.MatLike:
    """Return the picture with zeros to the right and below, so that SCRFD does not resize it.

    Args:
        image: The picture.
        fixed: Width and height that the graph is for; None when any multiple of 32 will do.
    """
    height, width = image.shape[:2]
    if fixed:
        if width > fixed[0] or height > fixed[1]:
            return image
        right, below = fixed[0] - width, fixed[1] - height
    else:
        right, below = -width % _STEP, -height % _STEP
        # SCRFD works out the height from the ratio, and would shrink a picture by a row where that
        # rounds down.
        while int((width + right) * ((height + below) / (width + right))) != height + below:
            below += _STEP
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))


def _by_role(pack: Pack) -> Mapping[str, tuple[PackFile, bytes]]:
    """Return detector and recogniser of a pack, every file of which is checked."""
    if (pack.folder / _NEW_MANIFEST).exists():
        raise PackError(
            f"{pack.folder} has a {_NEW_MANIFEST}, which may ask for other pictures than Homeward"
            " makes",
            "only packs without one are read, such as buffalo_l, buffalo_s and antelopev2",
        )
    found: dict[str, list[tuple[PackFile, bytes]]] = {"detector": [], "recogniser": []}
    for file in pack.files:
        data = pack.read(file)
        role = _role(pack, file, data)
        if role:
            found[role].append((file, data))
    for role, those in found.items():
        if len(those) != 1:
            names = ", ".join(file.name for file, _ in those)
            raise PackError(
                f"{pack.folder} has {f'several {role}s: {names}' if those else f'no {role}'}",
                "a pack is one detector and one recogniser; other models are left alone",
            )
    return {role: those[0] for role, those in found.items()}


def _role(pack: Pack, file: PackFile, data: bytes) -> str | None:
    """Return what a model does, told from its graph as the insightface package does."""
    with _its_package(pack):
        import onnx  # noqa: PLC0415 - that package needs it; an image has neither

    try:
        graph = onnx.load_model_from_string(data).graph
    except DecodeError as error:
        raise PackError(
            f"{pack.folder / file.name} is not an ONNX file, or only the beginning of one",
            "get the pack again",
        ) from error
    if len(graph.output) in _DETECTOR_OUTPUTS:
        return "detector"
    weights = {tensor.name for tensor in graph.initializer}  # old files list them as inputs too
    shapes = [
        [axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]]
        for value in graph.input
        if value.name not in weights
    ]
    return "recogniser" if shapes == [[3, ALIGNED_SIDE, ALIGNED_SIDE]] else None


def _classes(pack: Pack) -> tuple[Any, Any]:
    with _its_package(pack):
        from insightface.model_zoo import SCRFD, ArcFaceONNX  # noqa: PLC0415 - an extra, and slow

    return ArcFaceONNX, SCRFD


@contextmanager
def _its_package(pack: Pack) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise PackError(
            f"insightface:{pack.name} is run by the insightface package, which is not installed, or"
            f" not with all that it needs ({error.name or error})",
            how_to_install("insightface"),
        ) from error


@contextmanager
def _refused_as_ours(pack: Pack) -> Iterator[None]:
    try:
        yield
    except PackError:
        raise
    except Exception as error:  # onnxruntime's errors share no other base
        raise PackError(
            f"a model of {pack.folder} cannot be run ({type(error).__name__}: {error})",
            "get the pack again, from whoever publishes it",
        ) from error
