"""Settings of the embedding service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_cache_path
from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from homeward.core.packs import default_folder
from homeward.servicekit.settings import ServiceSettings


class EmbeddingSettings(ServiceSettings):
    """Settings of the embedding service; each is `HOMEWARD_` and its name in capitals."""

    model_pack: str = Field(
        default="yunet-sface",
        description="Models to run: `yunet-sface`, `insightface:NAME` for a pack that"
        " is installed, `onnx:NAME` for its recogniser alone, beside YuNet;"
        " `/FOLDER` for NAME takes a folder as it is.",
    )
    model_dir: Path = Field(
        default_factory=default_folder, description="Folder of the installed packs."
    )
    model_licence: str = Field(
        default="",
        max_length=500,
        description="The licence under which the operator uses the weights of an `insightface:` or"
        " `onnx:` pack, in their words; without one such a pack is refused.",
    )
    execution_providers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("CPUExecutionProvider",),
        description="What onnxruntime runs on, the preferred one first, such as"
        " `CUDAExecutionProvider,CPUExecutionProvider`.",
    )
    recogniser_runtime: Literal["auto", "openvino", "onnxruntime"] = Field(
        default="auto",
        description="What runs the recogniser; `auto` is OpenVINO where it is installed, "
        "unless `execution_providers` is set.",
    )
    inference_threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="Calls that are worked on at a time, each on one core. In a container, set it "
        "to the CPU limit.",
    )
    queue_limit: int = Field(
        default=32,
        ge=1,
        description="Most calls that wait for a thread before new ones are refused (`QUEUE_FULL`); "
        "each holds its message, at most 34 MiB.",
    )
    batches_in_flight: int = Field(
        default=4,
        ge=1,
        description="Most batches of one `DetectFaces` call that are held at a time.",
    )
    model_cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("homeward") / "models",
        description="Directory for prepared models; saves a second at each start.",
    )

    @field_validator("execution_providers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value
