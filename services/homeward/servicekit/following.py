"""A channel whose certificate is replaced while it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import grpc

from homeward.core.tls import Material, Rotation

CLOSING_SECONDS = 3600.0
"""How long calls may go on that were begun before: longer than any that one service makes of
another."""


class FollowingChannel(grpc.aio.Channel):
    """Opens another channel when the files of the first have changed.

    gRPC for Python fixes a channel's certificate when it is opened (grpc/grpc#41779): its next
    connection after the certificate has expired would be refused.

    Args:
        rotation: Looked at on each call.
        opened: Opens a channel.
    """

    def __init__(self, rotation: Rotation, opened: Callable[[Material], grpc.aio.Channel]) -> None:
        self._rotation = rotation
        self._opened = opened
        self._channel = opened(rotation.material)
        self._former: dict[grpc.aio.Channel, asyncio.Task[None]] = {}

    def _current(self) -> grpc.aio.Channel:
        if self._rotation.changed():
            former, self._channel = self._channel, self._opened(self._rotation.material)
            self._former[former] = asyncio.create_task(self._retire(former))
        return self._channel

    async def _retire(self, former: grpc.aio.Channel) -> None:
        # Not with its own grace, which overlooks a stream that nobody reads from just then.
        await asyncio.sleep(CLOSING_SECONDS)
        del self._former[former]
        await former.close()

    def _calls(self, kind: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any RPC's types
        """Return what calls on the channel that is current when it is called."""

        def call(*given: Any, **how: Any) -> Any:  # noqa: ANN401 - as above
            return getattr(self._current(), kind)(*args, **kwargs)(*given, **how)

        return call

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, D102 - as above
        return self._calls("unary_unary", *args, **kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, D102 - as above
        return self._calls("unary_stream", *args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, D102 - as above
        return self._calls("stream_unary", *args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, D102 - as above
        return self._calls("stream_stream", *args, **kwargs)

    async def close(self, grace: float | None = None) -> None:
        """Close the channel, and those that calls begun before may be on."""
        for former, task in self._former.items():
            task.cancel()
            await former.close(grace)
        self._former.clear()
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - gRPC's signature
        """Return the state of the current channel."""
        return self._current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait for the current channel to change its state."""
        await self._current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait for the current channel to be ready."""
        await self._current().channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
