"""Settings that every service has. Read from the environment once, in `__main__`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Settings of a gRPC server; each is the variable `HOMEWARD_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="HOMEWARD_", frozen=True)

    listen: str = Field("127.0.0.1:0", description="Address to serve gRPC on.")
    grace_seconds: float = Field(
        10.0, gt=0, description="How long calls may finish after a request to stop."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
