"""Settings of the embedding service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path
from pydantic import Field

from homeward.servicekit.settings import ServiceSettings


class EmbeddingSettings(ServiceSettings):
    """Settings of the embedding service; each is `HOMEWARD_` and its name in capitals."""

    recogniser_runtime: Literal["auto", "openvino", "onnxruntime"] = Field(
        default="auto",
        description="What runs the recogniser; `auto` is OpenVINO where it is installed.",
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
        "each holds its message, at most 32 MiB.",
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
