"""Finding the services and calling them: addresses, deadlines, retries, errors.

All calls of a command belong to one trace (W3C `traceparent`), which the services continue: 55
bytes, for which the client needs no library.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

import grpc

from homeward.cli.calls import deadline_seconds, repeatable_calls
from homeward.cli.errors import CallError, CliError, ExitCode
from homeward.cli.identification import (
    STATED,
    TOKEN_COMMAND,
    TOKEN_FILE,
    Identification,
    Metadata,
)
from homeward.cli.logins import LoginFile
from homeward.cli.tokens import CommandToken, FileToken, TokenSource, claims_of
from homeward.core.idempotency import retries
from homeward.core.networks import is_loopback_address
from homeward.core.rpc_errors import error_info, retry_seconds
from homeward.core.tls import (
    DISTRUST,
    VARIABLES,
    TlsError,
    TlsFiles,
    channel_credentials,
    distrusted,
    server_name_options,
    server_name_variable,
)

_MAX_MESSAGE_BYTES = 34 * 1024 * 1024
"""As the servers': a sighting with its pictures, or a photograph, with room to spare."""

LOCAL_TLS = ("client.crt", "client.key", "ca.crt")
LOCAL_TOKEN = "token"  # noqa: S105 - a file's name
"""What a local stack writes into the folder that its `stack.json` names as `access`."""

_KEEPALIVE_MS = 20_000
"""As between services, which refuse clients that ask more often than each ten seconds."""


@dataclass(frozen=True, slots=True)
class Target:
    """Address of a service, and the option, variable or file that names it."""

    address: str
    origin: str
    advice: str
    local: bool = False
    """Whether it is a stack on this machine."""
    access: Path | None = None
    """Folder of the certificate and the token that a local stack gives its user."""
    server_name: str = ""
    """Name that the certificate must have; empty: the host of the address."""

    def tls(self) -> TlsFiles | None:
        """Return the TLS files that a local stack gives its user."""
        if self.access is None:
            return None
        client, key, authority = (self.access / name for name in LOCAL_TLS)
        return TlsFiles(client, key, authority)


@dataclass(frozen=True, slots=True)
class Places:
    """The sources of the services' addresses.

    Args:
        options: Addresses given on the command line, by service.
        environment: The process's.
        profile: Name of a profile of the settings file, if one was asked for.
        settings_file: The user's settings.
        data: Folder of the local stack.
    """

    options: Mapping[str, str]
    environment: Mapping[str, str]
    profile: str | None
    settings_file: Path
    data: Path

    def find(self, service: str) -> Target:
        """Return where a service is: option, variable, profile, local stack, in this order.

        Raises:
            CliError: Nothing says where it is.
        """
        variable = f"HOMEWARD_{service.upper()}_TARGET"
        name = self.environment.get(server_name_variable(service), "")
        check = (
            "try again in a few minutes; if it stays away, tell the operator that it does, or"
            " correct the address"
        )
        if address := self.options.get(service):
            return Target(address, f"--{service}", check, server_name=name)
        if address := self.environment.get(variable):
            return Target(address, variable, check, server_name=name)
        if self.profile:
            profile = self._profile(self.profile)
            address = profile.get(service)
            name = name or profile.get(f"{service}_tls_server_name", "")
            if not address:
                raise CliError(
                    f"profile {self.profile} in {self.settings_file} does not say where "
                    f"{service} is",
                    advice=f'add {service} = "HOST:PORT" to it, or give --{service}',
                )
            return Target(address, f"profile {self.profile}", check, server_name=name)
        return self._local(service)

    def tls(self) -> TlsFiles | None:
        """Return the TLS files of the variables, else of the profile; None for plain text.

        Raises:
            CliError: Some are set, and others are not.
        """
        try:
            return TlsFiles.among(self._given(VARIABLES))
        except TlsError as error:
            raise CliError(str(error)) from error

    def identification(self, target: Target) -> Identification:
        """Return what tells who calls and what for, of the variables or the profile.

        Raises:
            CliError: What names the token contradicts itself.
        """
        # Each by itself: the case changes from one command to the next, the token does not.
        stated = {name: self._given((name,)).get(name, "") for name in STATED}
        return Identification.stating(self._token(target), stated)

    def _token(self, target: Target) -> TokenSource | None:
        """Return what names the caller to a service: what the user says, else what is at hand.

        A local stack gives its user a token. Elsewhere the login of the profile serves; that of no
        profile where no profile is named.
        """
        given = self._given((TOKEN_FILE, TOKEN_COMMAND))
        file, command = given.get(TOKEN_FILE), given.get(TOKEN_COMMAND)
        if file and command:
            raise CliError(f"{TOKEN_FILE} and {TOKEN_COMMAND} are both set: unset one of them")
        if file:
            return FileToken(Path(file), TOKEN_FILE)
        if command:
            return CommandToken.parsed(command, TOKEN_COMMAND)
        if target.access is not None:
            return FileToken(target.access / LOCAL_TOKEN, target.origin)
        login = self.login()
        if target.local or not login.path.exists():
            return None
        from homeward.cli.login_token import LoginToken  # noqa: PLC0415 - slow to import

        return LoginToken(login)

    def login(self) -> LoginFile:
        """Return where the login is kept."""
        return LoginFile.of(self.settings_file.parent, self.profile)

    def setting(self, variable: str) -> str:
        """Return a variable, else what the profile says in its place; empty for neither."""
        return self._given((variable,)).get(variable, "")

    def _given(self, variables: Sequence[str]) -> Mapping[str, str]:
        """Return variables that belong together: those that are set, else those of the profile."""
        if self.profile and not any(self.environment.get(name) for name in variables):
            profile = self._profile(self.profile)
            return {name: profile.get(_setting(name), "") for name in variables}
        return self.environment

    def _profile(self, name: str) -> Mapping[str, str]:
        try:
            settings = tomllib.loads(self.settings_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            settings = {}
        except tomllib.TOMLDecodeError as error:
            raise CliError(f"{self.settings_file} is not TOML: {error}") from error
        profiles: Mapping[str, Mapping[str, str]] = settings.get("profiles", {})
        if name not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            raise CliError(
                f"no profile {name} in {self.settings_file}; it has: {known}",
                exit_code=ExitCode.NOT_FOUND,
                advice=f'write [profiles.{name}] with matching = "HOST:PORT" and so on',
            )
        profile = profiles[name]
        for setting, value in profile.items():
            if not isinstance(value, str):
                raise CliError(f"{setting} of profile {name} in {self.settings_file} must be text")
        return profile

    def how_it_ended(self) -> str:
        """Return how the local stack ended, to follow a sentence; empty if it was asked to stop."""
        try:
            end = json.loads((self.data / "stack-ended.json").read_text(encoding="utf-8"))
            log = f"; its log is {end['log']}" if end["log"] else ""
            return f": it ended at {end['ended']}, because {end['problem']}{log}"
        except (OSError, ValueError, KeyError, TypeError):  # a damaged file is no fault of a call
            return ""

    def _starting_since(self) -> datetime | None:
        """Return when the local stack began to start; None unless it is starting."""
        try:
            starting = json.loads((self.data / "stack-starting.json").read_text(encoding="utf-8"))
            began = datetime.fromisoformat(starting["started"])
            ready_by = datetime.fromisoformat(starting["ready_by"])
            return began if datetime.now(UTC) <= ready_by else None
        except (OSError, ValueError, KeyError, TypeError):  # a damaged file is no fault of a call
            return None

    def _local(self, service: str) -> Target:
        start = f"start one with `homeward up --data {self.data}`"
        try:
            stack = json.loads((self.data / "stack.json").read_text(encoding="utf-8"))
            origin = f"the stack in {self.data}"
            access = Path(stack["access"]) if "access" in stack else None  # not of older versions
            return Target(stack[service], origin, f"is it running? {start}", True, access)
        except FileNotFoundError:
            if began := self._starting_since():
                raise CliError(
                    f"the Homeward stack on {self.data} is starting, since {began:%H:%M:%SZ}",
                    exit_code=ExitCode.UNAVAILABLE,
                    advice="try again in a few seconds: `homeward up` prints `ready` then",
                ) from None
            raise CliError(
                f"no Homeward stack runs on {self.data}{self.how_it_ended()}",
                exit_code=ExitCode.UNAVAILABLE,
                advice=f"{start}, or give addresses with --profile or --{service}",
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise CliError(
                f"{self.data / 'stack.json'} does not say where {service} is",
                exit_code=ExitCode.UNAVAILABLE,
                advice=f"stop that stack, and {start}",
            ) from error


@dataclass(frozen=True, slots=True)
class Connections:
    """Channels to the services, each opened when it is first used."""

    places: Places
    trace_id: str = field(default_factory=lambda: token_hex(16))
    """Of the trace that the command's calls are."""
    _channels: dict[str, grpc.Channel] = field(default_factory=dict)
    _identified: dict[Path | None, Identification] = field(default_factory=dict)
    """By the folder of a local stack's token: a program that has one is asked once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for channel in self._channels.values():
            channel.close()

    def channel(self, service: str) -> grpc.Channel:
        """Return the channel to a service; a call on it that fails raises `CallError`."""
        if service not in self._channels:
            target = self.places.find(service)
            tls = target.tls() if target.local else self.places.tls()
            who = self._identified.get(target.access) or self.places.identification(target)
            self._identified[target.access] = who
            if who and tls is None and not _on_this_machine(target.address):
                raise CliError(
                    f"{service} at {target.address} ({target.origin}) is called in plain text, in"
                    " which anybody on the way could read who calls and what for",
                    advice=f"set {', '.join(VARIABLES)}, or tls_cert_file and so on in the profile",
                )
            if target.server_name and tls is None:
                raise CliError(
                    f"{target.server_name} is to be in the certificate of {service} at"
                    f" {target.address} ({target.origin}), which is called in plain text, without"
                    " certificates",
                    advice=f"set {', '.join(VARIABLES)}, or unset {server_name_variable(service)}",
                )
            traceparent = f"00-{self.trace_id}-{token_hex(8)}-01"

            def metadata() -> Metadata:
                return (("traceparent", traceparent), *who.metadata())

            ended = self.places.how_it_ended if target.local else str
            self._channels[service] = _open(target, tls, _Edge(service, target, metadata, ended))
        return self._channels[service]

    def claimed_name(self, service: str) -> str | None:
        """Return whom the token says that it names, unchecked; None where calls carry none.

        Empty where the token tells services alone. A service may take the name from another claim.

        Raises:
            CliError: There is no token where one was to be, or nothing says where the service is.
        """
        self.channel(service)
        token = self._identified[self.places.find(service).access].token
        return None if token is None else str((claims_of(token.token()) or {}).get("sub", ""))


def _on_this_machine(address: str) -> bool:
    """Tell whether an address in gRPC's syntax is one that no packet leaves the machine for."""
    host = address.removeprefix("dns:///").removeprefix("ipv4:").removeprefix("ipv6:")
    return is_loopback_address(host)


def _setting(variable: str) -> str:
    return variable.removeprefix("HOMEWARD_").lower()


def _open(target: Target, tls: TlsFiles | None, edge: _Edge) -> grpc.Channel:
    config = {
        # The calls of a command are spread over replicas; a replica that is down gets none.
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": retries(repeatable_calls(edge.service)),
    }
    options = [
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.service_config", json.dumps(config)),
        # A service that restarts is back within seconds, or has another address by then.
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.dns_min_time_between_resolutions_ms", 5000),
        # The services are inside; a proxy for the web is not the way to them.
        ("grpc.enable_http_proxy", 0),
        # Keepalive notices a service that hangs while a scan is watched, before the hour is over.
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS // 2),
        *server_name_options(target.server_name),
    ]
    if tls is None:
        channel = grpc.insecure_channel(target.address, options=options)
    else:
        try:
            credentials = channel_credentials(tls.read(serving=False))
        except TlsError as error:
            raise CliError(str(error)) from error
        channel = grpc.secure_channel(target.address, credentials, options=options)
    return grpc.intercept_channel(channel, edge)


class _Edge(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
):
    """Gives every call its deadline and metadata, and raises a failed one as `CallError`.

    Args:
        service: The service that is called.
        target: Its address.
        metadata: Returns that of a call: its trace, who calls, and what for.
        ended: Returns how the local stack ended, to follow a sentence, or nothing.
    """

    def __init__(
        self,
        service: str,
        target: Target,
        metadata: Callable[[], Metadata],
        ended: Callable[[], str],
    ) -> None:
        self.service = service
        self._target = target
        self._ended = ended
        self._metadata = metadata

    def intercept_unary_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: Any,  # noqa: ANN401 - a named tuple, which gRPC does not type
        request: Any,  # noqa: ANN401 - any RPC's
    ) -> Any:  # noqa: ANN401 - any RPC's
        """Pass an answer on."""
        return self._checked(continuation(self._completed(client_call_details), request))

    def intercept_stream_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: Any,  # noqa: ANN401 - a named tuple, which gRPC does not type
        request_iterator: Iterator[Any],
    ) -> Any:  # noqa: ANN401 - any RPC's
        """Pass an answer on."""
        return self._checked(continuation(self._completed(client_call_details), request_iterator))

    def intercept_unary_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: Any,  # noqa: ANN401 - a named tuple, which gRPC does not type
        request: Any,  # noqa: ANN401 - any RPC's
    ) -> Any:  # noqa: ANN401 - any RPC's
        """Pass the answers on."""
        return self._streamed(continuation(self._completed(client_call_details), request))

    def _completed(self, details: Any) -> Any:  # noqa: ANN401 - a named tuple, which gRPC does not type
        traced = details._replace(metadata=(*(details.metadata or ()), *self._metadata()))
        if details.timeout is not None:
            return traced
        return traced._replace(timeout=deadline_seconds(details.method))

    def _checked(self, call: Any) -> Any:  # noqa: ANN401 - any RPC's
        if isinstance(call, grpc.RpcError):
            raise self._translated(call) from None
        return call

    def _streamed(self, call: Any) -> Iterator[Any]:  # noqa: ANN401 - any RPC's
        try:
            yield from call
        except grpc.RpcError as error:
            raise self._translated(error) from None
        finally:
            call.cancel()

    def _translated(self, error: Any) -> CallError:  # noqa: ANN401 - RpcError, which has no types
        status = error.code().name
        info = error_info(error)
        if info is not None:
            return CallError(
                error.details() or "",
                status=status,
                reason=info.reason,
                metadata=info.metadata,
                retry_seconds=retry_seconds(error),
            )
        where = f"{self.service} at {self._target.address} ({self._target.origin})"
        if distrusted(error.details() or ""):
            advice = self._target.advice if self._target.local else DISTRUST
            return CallError(f"{where} is not trusted", status=status, advice=advice)
        said = {
            "UNAVAILABLE": f"{where} does not answer{self._ended()}",
            "CANCELLED": f"{where} dropped the call",
            "DEADLINE_EXCEEDED": f"{where} did not answer in time",
            "UNIMPLEMENTED": f"{where} is another service, or of another version",
        }
        return CallError(
            said.get(status, f"{where} failed: {status}: {error.details()}"),
            status=status,
            advice=self._target.advice,
        )
