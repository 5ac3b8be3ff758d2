"""A client of the web port that speaks the protocol by hand; same verbs as the gRPC one in `service`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import ERRORS_BY_REASON, AvatarError
from google.rpc import error_details_pb2
from service import SIZE_PX, photo, pose_message
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from avatar_sdk.engine import Engine
from avatar_sdk.server import Server, ServerConfig

PROTO = {"Content-Type": "application/proto"}


class WebStream:
    """One socket on `/v1/stream`."""

    ready: pb.StreamReady

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seq = 0
        self.acknowledging = True

    async def send(self, **arm: Any) -> None:
        await self.socket.send(pb.StreamRequest(**arm).SerializeToString())

    async def send_poses(self, count: int, interval_s: float = 0.02) -> None:
        for _ in range(count):
            self.seq += 1
            await self.send(pose=pose_message(self.seq))
            await asyncio.sleep(interval_s)

    async def read(self) -> Any:
        """The next message; None after a normal end. Raises the error that the server's last message names."""
        try:
            data = await self.socket.recv()
        except ConnectionClosed:
            return None
        assert isinstance(data, bytes)
        response = pb.StreamResponse.FromString(data)
        kind = response.WhichOneof("message")
        if kind == "error":
            raise ERRORS_BY_REASON[response.error.reason](response.error.message, field=response.error.field)
        if kind == "frame" and self.acknowledging:
            await self.send(ack=pb.Ack(frame_seq=response.frame.seq))
        return response

    async def until(self, arm: str, accept: Callable[[Any], bool] = lambda _: True) -> Any:
        """The next `arm` that is accepted; others are read over."""
        while True:
            response = await self.read()
            assert response is not None, f"the stream ended without {arm}: {self.close_code}"
            if response.WhichOneof("message") == arm and accept(getattr(response, arm)):
                return getattr(response, arm)

    async def event(self, kind: Any) -> Any:
        return await self.until("event", lambda event: event.kind == kind)

    async def closed(self) -> int | None:
        """The close code, once the socket is closed."""
        await self.socket.wait_closed()
        return self.close_code

    @property
    def close_code(self) -> int | None:
        return self.socket.close_code


class WebClient:
    """The five calls, over HTTP and WebSocket."""

    def __init__(self, url: str, http: httpx.AsyncClient, sockets: contextlib.AsyncExitStack) -> None:
        self.url = url
        self.http = http
        self._sockets = sockets

    async def post(self, name: str, body: bytes, **headers: str) -> httpx.Response:
        return await self.http.post(f"/avatar.v1.AvatarService/{name}", content=body, headers=PROTO | headers)

    async def call(self, name: str, token: str = "", **fields: Any) -> Any:
        """A unary call. Raises what the server raised."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = getattr(pb, f"{name}Request")(**fields)
        answer = await self.post(name, request.SerializeToString(), **headers)
        if answer.status_code != 200:
            raise restored(answer)
        return getattr(pb, f"{name}Response").FromString(answer.content)

    async def create(self, **fields: Any) -> Any:
        return await self.call("CreateSession", **{"portrait": photo(), "consent": True, **fields})

    async def socket(self, **options: Any) -> WebStream:
        settings = {"subprotocols": ["avatar.v1"], "compression": None, "max_size": None, **options}
        address = self.url.replace("http", "ws", 1) + "v1/stream"
        return WebStream(await self._sockets.enter_async_context(connect(address, **settings)))

    async def open(self, created: Any, **config: Any) -> WebStream:
        """A stream up to its StreamReady."""
        stream = await self.socket()
        given = {"session_id": created.session_id, "resume_token": created.resume_token, **config}
        await stream.send(config=pb.StreamConfig(**given))
        stream.ready = await stream.until("ready")
        return stream


def restored(answer: httpx.Response) -> AvatarError:
    """The error of a Connect answer."""
    said = answer.json()
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    by_type = {one.DESCRIPTOR.full_name: one for one in (info, bad, retry)}
    for detail in said["details"]:
        value = detail["value"]
        by_type[detail["type"]].ParseFromString(base64.b64decode(value + "=" * (-len(value) % 4)))
    error = ERRORS_BY_REASON[info.reason](
        said["message"],
        field=bad.field_violations[0].field if bad.field_violations else "",
        retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 or None,
    )
    assert said["code"] == error.code.lower()
    return error


@asynccontextmanager
async def web_serving(engine: Engine, **config: Any) -> AsyncIterator[tuple[Server, WebClient]]:
    """A server with a web port on free ports, and a client of the web port."""
    settings = {"port": 0, "web_port": 0, "size_px": SIZE_PX, "warm_up": False, "drain_grace_s": 0.1, **config}
    async with Server(ServerConfig(**settings), engine) as server:
        assert server.web is not None
        url = server.web.url
        async with (
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http,
            contextlib.AsyncExitStack() as sockets,
        ):
            yield server, WebClient(url, http, sockets)
