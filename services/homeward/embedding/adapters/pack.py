"""Which model pack is loaded, by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from homeward.core import packs
from homeward.core.packs import PackError
from homeward.embedding.adapters import scrfd_arcface, yunet_onnx, yunet_sface
from homeward.embedding.adapters.sessions import CPU, require_providers
from homeward.embedding.ports import LoadedPack
from homeward.embedding.settings import EmbeddingSettings

_INSIGHTFACE = "insightface:"


def load_pack(
    name: str = yunet_sface.NAME,
    *,
    runtime: Literal["auto", "openvino", "onnxruntime"],
    threads: int,
    cache: Path | None,
    providers: Sequence[str] = CPU,
    folder: Path | None = None,
    licence: str = "",
) -> LoadedPack:
    """Read, check and warm up a model pack. Downloads nothing.

    Args:
        name: `yunet-sface`; `insightface:NAME` for detector and recogniser of an installed pack;
            `onnx:NAME` for its recogniser, beside YuNet. A folder from the root may stand for NAME.
        runtime: What runs the recogniser.
        threads: How many calls may run at a time.
        cache: Directory for prepared models; None prepares them at each start.
        providers: Of onnxruntime, the preferred one first.
        folder: Of the installed packs; None is the user's.
        licence: The operator's statement of the licence under which they use the weights.

    Raises:
        PackError: There is no such pack, or it cannot be used; says what to do.
    """
    require_providers(providers)
    if name == yunet_sface.NAME:
        return yunet_sface.load(runtime=runtime, threads=threads, cache=cache, providers=providers)
    packs_folder = folder or packs.default_folder()
    if name.startswith(yunet_onnx.PREFIX):
        scrfd_arcface.require_licence(name, licence)
        return yunet_onnx.load(
            _find(name, yunet_onnx.PREFIX, packs_folder),
            licence=licence,
            runtime=runtime,
            threads=threads,
            cache=cache,
            providers=providers,
        )
    if not name.startswith(_INSIGHTFACE):
        raise PackError(
            f"there is no model pack {name!r}",
            f"HOMEWARD_MODEL_PACK is {yunet_sface.NAME}, insightface:NAME, insightface:/FOLDER,"
            " onnx:NAME or onnx:/FOLDER",
        )
    if runtime == "openvino":
        raise PackError(
            f"{name} runs on onnxruntime only", "leave HOMEWARD_RECOGNISER_RUNTIME unset"
        )
    scrfd_arcface.require_licence(name, licence)
    pack = _find(name, _INSIGHTFACE, packs_folder)
    return scrfd_arcface.load(pack, licence=licence, providers=providers)


def load_configured(settings: EmbeddingSettings) -> LoadedPack:
    """Load the pack that the settings name.

    Raises:
        PackError: There is no such pack, or it cannot be used; says what to do.
    """
    return load_pack(
        settings.model_pack,
        runtime=settings.recogniser_runtime,
        threads=settings.inference_threads,
        cache=settings.model_cache_dir,
        providers=settings.execution_providers,
        folder=settings.model_dir,
        licence=settings.model_licence,
    )


def _find(given: str, prefix: str, folder: Path) -> packs.Pack:
    name = given.removeprefix(prefix)
    path = Path(name).expanduser()
    if path.is_absolute():
        return packs.at(path, alone=prefix == yunet_onnx.PREFIX)
    if "/" in name:
        raise PackError(
            f"{given} names no folder that could be told from another",
            f"give the folder from the root, such as {prefix}/srv/packs/buffalo_l",
        )
    return packs.find(name, folder)
