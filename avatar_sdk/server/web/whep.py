"""Calls: `POST /v1/sessions/{id}/whep` publishes an avatar, `…/whip` takes a camera and a microphone in.

One request with the offer, one answer with all candidates (no trickle): WHEP's and WHIP's form, so that their players
and OBS can be pointed at it, with the session's resume token as the bearer token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from avatar_client.errors import InvalidInputError, MissingDependencyError, ProtocolError, ServerDrainingError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from avatar_sdk.server.web.answers import error_answer, read_body, typed
from avatar_sdk.server.web.service import WebService
from avatar_sdk.session import Entry
from avatar_sdk.webrtc import webrtc_installed

if TYPE_CHECKING:
    from avatar_sdk.webrtc.offer import Offer
    from avatar_sdk.webrtc.peers import Peer, Peers

SDP: Final = "application/sdp"
WAYS: Final = ("whep", "whip")


class PeerCalls:
    """Answers the offers of one way."""

    def __init__(self, service: WebService, peers: Peers, way: str) -> None:
        self._service = service
        self._peers = peers
        self._way = way
        self._config = service.calls.config

    async def offer(self, request: Request) -> Response:
        """An SDP offer in, our answer out.

        Raises:
            InvalidInputError: the body is no usable offer.
            NoCapacityError: there are too many peers.
            ProtocolError: this server finds no poses in pictures.
            AvatarError: as `WebService.session` and `Peers`.
        """
        from avatar_sdk.webrtc.offer import MOST_BYTES, read_offer

        entry = self._session(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != SDP:
            wrong = InvalidInputError(f"the body is {kind or 'of no type'}; it must be {SDP}", field="sdp")
            return error_answer(wrong, 415)
        body = await read_body(request, MOST_BYTES, self._config.web_limits.body_timeout_s)
        if self._service.calls.draining:
            raise ServerDrainingError("the server is shutting down; connect again in a moment", retry_after_s=1.0)
        peer = await self._answer(entry, read_offer(body))
        place = f"/v1/sessions/{entry.session_id}/{self._way}/{peer.peer_id}"
        headers = {"Location": place, "Cache-Control": "no-store"}
        if links := ", ".join(f'<{url}>; rel="ice-server"' for url in self._config.webrtc.ice_servers):
            headers["Link"] = links
        return Response(peer.answer, 201, headers, SDP)

    async def hang_up(self, request: Request) -> Response:
        """Ends one peer.

        Raises:
            SessionNotFoundError, AuthenticationError: as `WebService.session`; or there is no such peer.
        """
        entry = self._session(request)
        await self._peers.end(entry.session_id, request.path_params["peer_id"])
        return Response(status_code=200)

    async def _answer(self, entry: Entry, offer: Offer) -> Peer:
        if self._way == "whep":
            return await self._peers.publish(entry.session_id, entry.live, offer)
        if "video" in offer.gives and not self._config.tracks:
            raise ProtocolError(
                "this server finds no poses in pictures; track on your side and send poses, or start the server with "
                "--server-tracking",
                field="sdp",
            )
        return await self._peers.receive(entry.session_id, entry.live, offer)

    def _session(self, request: Request) -> Entry:
        return self._service.session(request.path_params["session_id"], request.headers.get("authorization", ""))


async def _missing(_: Request) -> Response:
    return error_answer(
        MissingDependencyError("WebRTC needs aiortc, which is not installed; pip install 'avatar-sdk[webrtc]'"), 501
    )


def routes(service: WebService) -> list[BaseRoute]:
    """WHEP and WHIP; without aiortc both answer 501."""
    installed = service.features["whep"] = webrtc_installed()
    paths = {way: f"/v1/sessions/{{session_id}}/{way}" for way in WAYS}
    if not installed:
        return [Route(path, _missing, methods=["POST"]) for path in paths.values()]
    from avatar_sdk.webrtc.peers import Peers

    peers, metrics = Peers(service.calls.config.webrtc), service.calls.metrics
    service.on_stop.append(peers.close)
    found: list[BaseRoute] = []
    for way, path in paths.items():
        calls = PeerCalls(service, peers, way)
        found.append(Route(path, typed(metrics, calls.offer), methods=["POST"]))
        found.append(Route(path + "/{peer_id}", typed(metrics, calls.hang_up), methods=["DELETE"]))
    return found
