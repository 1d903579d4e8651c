"""Settings that every service has. Read from the environment once, in `__main__`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Settings of a gRPC server; each is the variable `HOMEWARD_` and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEWARD_",
        frozen=True,
        hide_input_in_errors=True,  # an input may be a secret
    )

    listen: str = Field("127.0.0.1:0", description="Address to serve gRPC on.")
    grace_seconds: float = Field(
        10.0, gt=0, description="How long calls may finish after a request to stop."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    metrics_listen: str | None = Field(
        None,
        pattern=r"^\S+:\d+$",
        description="Address to serve Prometheus metrics on, over HTTP; unset serves none.",
    )
    traces_endpoint: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="URL of an OpenTelemetry collector that takes OTLP over gRPC, such as"
        " `http://127.0.0.1:4317`; unset sends no spans.",
    )


class EngineSettings(ServiceSettings):
    """Where the engines are, for services that store."""

    nats_url: SecretStr = Field(description="URL of NATS, with its token before `@`.")
    nats_replicas: int = Field(
        1, ge=1, le=5, description="NATS servers that hold each record; 3 in a cluster."
    )
    s3_endpoint: str = Field(description="URL of the S3 server.")
    s3_access_key: str = Field(description="Name of the S3 account.")
    s3_secret_key: SecretStr = Field(description="Secret of the S3 account.")
