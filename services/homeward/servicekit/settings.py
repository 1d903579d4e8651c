"""Settings that every service has. Read from the environment once, in `__main__`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from homeward.core.networks import is_loopback_address
from homeward.core.tls import VARIABLES, TlsError, TlsFiles
from homeward.servicekit.quotas import Quota

MAX_CONNECTION_AGE_SECONDS = 60.0
"""A client's connections are told to go after this, give or take a tenth, and it looks up the
addresses anew: a replica that is added gets its share of the calls within about a minute."""


Encryption = Literal["none", "sse-s3", "sse-kms"]
"""Of a bucket, by its server: none that is asked for, its own keys, or those of its key service."""


def server_name_field(service: str) -> Any:  # noqa: ANN401 - as pydantic's own `Field`
    """Return the setting `..._tls_server_name` of a service that is called."""
    return Field(
        None,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        description=f"Name that the certificate of the {service} service must have, where that is"
        " not the host of its address, as behind a load balancer or for a list of addresses; needs"
        " TLS. Unset: the host.",
    )


class ServiceSettings(BaseSettings):
    """Settings of a gRPC server; each is the variable `HOMEWARD_` and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEWARD_",
        frozen=True,
        hide_input_in_errors=True,  # an input may be a secret
    )

    listen: str = Field("127.0.0.1:0", description="Address to serve gRPC on.")
    drain_seconds: float = Field(
        5.0,
        ge=0,
        description="How long a service that is asked to stop says NOT_SERVING and still takes"
        " calls, so that whoever sends them can notice.",
    )
    grace_seconds: float = Field(10.0, gt=0, description="How long calls may finish after that.")
    max_connection_age_seconds: float = Field(
        MAX_CONNECTION_AGE_SECONDS,
        ge=1,
        description="How long a connection takes new calls, so that a replica that is added gets"
        " its share of them. Calls under way are not cut off.",
    )
    tls_cert_file: Path | None = Field(
        None,
        description="PEM file with the certificate that this service proves itself with, to those"
        " who call it and to those it calls; with it come its key and the authority. Unset: gRPC is"
        " not encrypted.",
    )
    tls_key_file: Path | None = Field(None, description="PEM file with the certificate's key.")
    tls_ca_file: Path | None = Field(
        None, description="PEM file with the authorities whose certificates are let in."
    )
    health_listen: str | None = Field(
        None,
        pattern=r"^\S+:\d+$",
        description="Address to serve `grpc.health.v1`, and nothing else, on in plain text: for"
        " probes that speak no TLS, such as the kubelet's. The health of `live` is that of the"
        " process, whatever the engines do.",
    )
    auth_file: Path | None = Field(
        None,
        description="TOML or JSON file that says who may call: the issuer of access tokens, what"
        " their claims mean, and the names of services (docs/security.md). Unset: whoever reaches"
        " the port may call everything.",
    )
    reflection: bool = Field(
        True, description="Whether the server describes its RPCs to anybody who asks."
    )
    quota_calls_per_second: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        description="Calls that one caller may make a second, on average, of one replica; further"
        " ones are refused (`QUOTA_EXCEEDED`) and told when to try again. A caller is who is known"
        " by a token or certificate, else an address; Homeward's services have no quota. Unset: no"
        " limit.",
    )
    quota_burst: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="Calls of one caller that may come at once after a while without any.",
    )
    quota_concurrent_calls: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Calls that one caller may have under way at a time, watches and uploads"
        " included, at one replica. Unset: no limit.",
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

    @model_validator(mode="after")
    def _tls_can_be_spoken(self) -> Self:
        try:
            if self.tls is not None:
                self.tls.read()
        except TlsError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _names_are_checked(self) -> Self:
        named = [name for name in type(self).model_fields if name.endswith("_tls_server_name")]
        for name in filter(partial(getattr, self), named):
            if self.tls is None:
                raise ValueError(
                    f"HOMEWARD_{name.upper()} is a name in a certificate, and without TLS there is"
                    f" none: set {', '.join(VARIABLES)}, or unset it"
                )
        return self

    @model_validator(mode="after")
    def _tokens_are_not_sent_in_the_open(self) -> Self:
        if self.auth_file is not None and self.tls is None and not is_loopback_address(self.listen):
            raise ValueError(
                "HOMEWARD_AUTH_FILE needs TLS where HOMEWARD_LISTEN is not a loopback address: set"
                f" {', '.join(VARIABLES)}"
            )
        return self

    @property
    def quota(self) -> Quota:
        """What one caller may ask for."""
        return Quota(self.quota_calls_per_second, self.quota_burst, self.quota_concurrent_calls)

    @property
    def tls(self) -> TlsFiles | None:
        """What TLS is spoken with; None for plain text."""
        paths = (self.tls_cert_file, self.tls_key_file, self.tls_ca_file)
        return TlsFiles.among(dict(zip(VARIABLES, paths, strict=True)))


class EngineSettings(ServiceSettings):
    """Where the engines are, for services that store."""

    nats_url: SecretStr = Field(description="URL of NATS, with its token before `@`.")
    nats_replicas: int = Field(
        1, ge=1, le=5, description="NATS servers that hold each record; 3 in a cluster."
    )
    audit_kept_days: float = Field(
        6 * 365,
        ge=1,
        le=100 * 366,
        description="How long events of the audit trail are kept; 6 years unless policy says"
        " otherwise (docs/audit.md).",
    )
    s3_endpoint: str = Field(description="URL of the S3 server.")
    s3_access_key: str = Field(description="Name of the S3 account.")
    s3_secret_key: SecretStr = Field(description="Secret of the S3 account.")
    s3_encryption: Encryption = Field(
        "none",
        description="Encryption at rest that is asked of the S3 server, for each of Homeward's"
        " buckets: `sse-s3` by its own keys, `sse-kms` by those of its key service, `none` where"
        " its disks are encrypted. While a bucket does not have it, nothing is taken in.",
    )
