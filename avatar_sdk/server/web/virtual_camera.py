"""`/v1/sessions/{id}/virtual-camera`: the page turns a session into a camera of the machine that serves it.

Only for visitors on the same machine: it is that machine's camera.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from typing import Any, Final

from avatar_client.errors import (
    AvatarError,
    CameraError,
    InvalidInputError,
    MissingDependencyError,
    ProtocolError,
    SessionNotFoundError,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from avatar_sdk.motion import MotionSource
from avatar_sdk.server.web.answers import error_answer, read_body, typed
from avatar_sdk.server.web.service import WebService
from avatar_sdk.session import Entry, now_us
from avatar_sdk.virtual_camera import VirtualCamera, VirtualCameraConfig, virtual_camera_installed
from avatar_sdk.webrtc.delay import LatencyMeter

MOST_BODY_BYTES: Final = 4096
NO_STORE: Final = {"Cache-Control": "no-store"}


class Broadcast:
    """One session's frames on one device, until the session or the device ends."""

    def __init__(self, entry: Entry, camera: VirtualCamera, meter: LatencyMeter, camera_lag_ms: float) -> None:
        self.camera = camera
        self.error = ""
        self._meter = meter
        self._camera_lag_ms = camera_lag_ms
        self._watcher = entry.live.watch()
        self._task = asyncio.create_task(self._run(), name="virtual camera")

    @property
    def running(self) -> bool:
        """Whether frames go out."""
        return not self._task.done()

    @property
    def said(self) -> dict[str, Any]:
        """For the page. `delay_ms` is what the microphone must be delayed by, null until it is known."""
        latency_us = self._meter.delay_us
        delay_ms = None if latency_us is None else round(self._camera_lag_ms + latency_us / 1000)
        return {"running": self.running, "device": self.camera.device, "delay_ms": delay_ms, "error": self.error}

    async def close(self) -> None:
        """Frees the device. Idempotent."""
        self._watcher.close()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        try:
            async for frame in self._watcher:
                tag_us = frame.pose_received_us if frame.source is MotionSource.POSE else 0
                self.camera.send(frame.image, tag_us)
        except CameraError as error:
            self.error = error.message
        finally:
            self._watcher.close()
            await asyncio.to_thread(self.camera.close)


class VirtualCameraDesk:
    """Starts and stops; one device a session."""

    def __init__(self, service: WebService) -> None:
        self._service = service
        self._config = service.calls.config
        self._running: dict[str, Broadcast] = {}

    async def start(self, request: Request) -> Response:
        """Starts the session's virtual camera; the body may say `{"device": …, "width_px": …, "height_px": …}`.

        Raises:
            CameraError: there is no device; the message says how to get one.
            MissingDependencyError: pyvirtualcam is not installed.
            ProtocolError: it runs already.
            InvalidInputError: the body is not JSON like this.
            SessionNotFoundError, AuthenticationError: as `WebService.session`.
        """
        entry = self._session(request)
        config = self._asked(await read_body(request, MOST_BODY_BYTES, self._config.web_limits.body_timeout_s))
        self._forget()
        if entry.session_id in self._running:
            raise ProtocolError("this session's virtual camera runs already; stop it first", field="virtual_camera")
        loop, meter = asyncio.get_running_loop(), LatencyMeter()

        def left(received_us: int) -> None:
            if received_us:
                loop.call_soon_threadsafe(meter.add, now_us() - received_us)

        camera = await asyncio.to_thread(VirtualCamera, config, left)
        try:
            if entry.session_id in self._running:
                raise ProtocolError("this session's virtual camera was started meanwhile", field="virtual_camera")
            broadcast = Broadcast(entry, camera, meter, self._config.webrtc.camera_lag_ms)
        except AvatarError:
            await asyncio.to_thread(camera.close)
            raise
        self._running[entry.session_id] = broadcast
        return JSONResponse(broadcast.said, 201, NO_STORE)

    async def look(self, request: Request) -> Response:
        """How it goes.

        Raises:
            SessionNotFoundError: there is none, or it was never started.
            AuthenticationError: as `WebService.session`.
        """
        return JSONResponse(self._broadcast(request).said, headers=NO_STORE)

    async def stop(self, request: Request) -> Response:
        """Stops it.

        Raises:
            SessionNotFoundError, AuthenticationError: as `look`.
        """
        broadcast = self._broadcast(request)
        del self._running[request.path_params["session_id"]]
        await broadcast.close()
        return JSONResponse(broadcast.said, headers=NO_STORE)

    async def close(self) -> None:
        """Stops all."""
        running, self._running = list(self._running.values()), {}
        for broadcast in running:
            await broadcast.close()

    def _broadcast(self, request: Request) -> Broadcast:
        entry = self._session(request)
        if entry.session_id not in self._running:
            raise SessionNotFoundError("this session has no virtual camera; start it first", field="virtual_camera")
        return self._running[entry.session_id]

    def _forget(self) -> None:
        """Those that ended by themselves, with their session or their device."""
        self._running = {key: broadcast for key, broadcast in self._running.items() if broadcast.running}

    def _session(self, request: Request) -> Entry:
        if not _is_here(request):
            raise ProtocolError(
                "a virtual camera belongs to the machine that serves it, and this request comes from another",
                field="virtual_camera",
            )
        return self._service.session(request.path_params["session_id"], request.headers.get("authorization", ""))

    def _asked(self, body: bytes) -> VirtualCameraConfig:
        size_px = self._config.size_px
        try:
            asked = json.loads(body or b"{}")
            device = asked.get("device")
            width_px, height_px = asked.get("width_px", size_px), asked.get("height_px", size_px)
        except (ValueError, AttributeError) as error:
            raise InvalidInputError('the body is not JSON like {"device": "/dev/video10"}', field="message") from error
        if not isinstance(device, str | None) or not isinstance(width_px, int) or not isinstance(height_px, int):
            raise InvalidInputError("device must be a word, width_px and height_px numbers", field="message")
        return VirtualCameraConfig(device, width_px, height_px, self._config.clock.fps)


def _is_here(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _missing(_: Request) -> Response:
    return error_answer(
        MissingDependencyError("a virtual camera needs pyvirtualcam; pip install 'avatar-sdk[virtualcam]'"), 501
    )


def routes(service: WebService) -> list[BaseRoute]:
    """The virtual camera; without pyvirtualcam it answers 501, and a server that others can reach has none."""
    installed, here = virtual_camera_installed(), service.calls.config.loopback
    service.features["virtual_camera"] = installed and here
    path = "/v1/sessions/{session_id}/virtual-camera"
    if not here:
        return []
    if not installed:
        return [Route(path, _missing, methods=["POST", "GET", "DELETE"])]
    desk, metrics = VirtualCameraDesk(service), service.calls.metrics
    service.on_stop.append(desk.close)
    return [
        Route(path, typed(metrics, desk.start), methods=["POST"]),
        Route(path, typed(metrics, desk.look), methods=["GET"]),
        Route(path, typed(metrics, desk.stop), methods=["DELETE"]),
    ]
