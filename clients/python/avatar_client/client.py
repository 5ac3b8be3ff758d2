"""The way into a service: what it can do, and sessions on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.backoff import ReconnectConfig
from avatar_client.errors import InvalidConfigError, ProtocolError
from avatar_client.events import SessionEvent
from avatar_client.options import ImageFile, SessionOptions, portrait_bytes
from avatar_client.session import AvatarSession, require_consent
from avatar_client.transport import TlsConfig, Transport

DEFAULT_TARGET: Final = "localhost:50051"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server can do and how full it is.

    Attributes:
        version: of the service.
        model: preset or checkpoint, e.g. "lite", "warp".
        trained_stages: training stages of the checkpoint; empty = untrained, so that the output is the warp.
        width_px: width of the frames.
        height_px: height of the frames.
        fps: rate of the frame clock. Unit: frames per second.
        max_sessions: sessions it can hold.
        free_sessions: slots that are free now.
        encodings: what a stream may ask for.
        max_portrait_bytes: largest portrait.
        draining: whether it is shutting down.
    """

    version: str
    model: str
    trained_stages: tuple[str, ...]
    width_px: int
    height_px: int
    fps: float
    max_sessions: int
    free_sessions: int
    encodings: tuple[str, ...]
    max_portrait_bytes: int
    draining: bool


class AvatarClient:
    """A connection to a service.

    >>> async with AvatarClient("localhost:50051") as client:
    ...     async with client.session("me.jpg", consent=True) as session:
    ...         session.send_pose(pose)
    ...         async for frame in session:
    ...             show(frame.image)
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: str | None = None,
        tls: TlsConfig | None = None,
        connect_timeout_s: float = 15.0,
        reconnect: ReconnectConfig | None = None,
    ) -> None:
        """Connects on first use.

        Args:
            target: "host:port".
            token: shared secret, where the server asks for one.
            tls: encryption; None = none, for servers on this machine.
            connect_timeout_s: longest wait for the answer to a call, connecting included. Unit: seconds.
            reconnect: what happens after a broken stream; default: it is taken up again.

        Raises:
            InvalidConfigError: the timeout is not positive.
        """
        if not connect_timeout_s > 0:
            raise InvalidConfigError(
                f"connect_timeout_s is {connect_timeout_s}; it must be positive", field="connect_timeout_s"
            )
        self.target = target
        self._token = token
        self._tls = tls
        self._timeout_s = connect_timeout_s
        self._reconnect = reconnect or ReconnectConfig()
        self._transports: dict[str, Transport] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every channel. Idempotent."""
        self._closed = True
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            await transport.close()

    async def info(self) -> ServerInfo:
        """What the server can do and how full it is.

        Raises:
            ConnectionLostError: nothing answers.
            AvatarError: whatever the server raised.
        """
        answer = await self._transport("").call("GetServerInfo", pb.GetServerInfoRequest(), pb.GetServerInfoResponse)
        return ServerInfo(
            version=answer.version,
            model=answer.model,
            trained_stages=tuple(answer.trained_stages),
            width_px=answer.width_px,
            height_px=answer.height_px,
            fps=answer.fps,
            max_sessions=answer.max_sessions,
            free_sessions=answer.free_sessions,
            encodings=tuple(pb.Encoding.Name(one).removeprefix("ENCODING_").lower() for one in answer.encodings),
            max_portrait_bytes=answer.max_portrait_bytes,
            draining=answer.draining,
        )

    def session(
        self,
        portrait: ImageFile,
        *,
        consent: bool = False,
        options: SessionOptions | None = None,
        on_event: Callable[[SessionEvent], None] | None = None,
    ) -> AvatarSession:
        """A live avatar of `portrait` (path or bytes of a JPEG, PNG or WebP), begun by `async with`.

        `consent=True` declares that the person shown agreed, or that nobody real is shown. `on_event` is called on
        the event loop for everything that happens besides frames.

        Raises:
            InvalidConfigError: `consent` was not declared, or an option is out of range.
            InvalidPortraitError: the file cannot be read or is too large.
        """
        require_consent(consent)
        return AvatarSession(
            portrait_bytes(portrait), options or SessionOptions(), self._reconnect, self._transport, on_event
        )

    def _transport(self, endpoint: str) -> Transport:
        if self._closed:
            raise ProtocolError("this client is closed; make a new one")
        target = endpoint or self.target
        if target not in self._transports:
            self._transports[target] = Transport(target, self._token, self._tls, self._timeout_s)
        return self._transports[target]
