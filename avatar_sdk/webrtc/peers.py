"""Every peer of a server: who may come, and what is freed when one goes."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from avatar_client.errors import InvalidInputError, NoCapacityError, SessionBusyError, SessionNotFoundError

from avatar_sdk.session import LiveSession, SessionState
from avatar_sdk.webrtc.bitrate import set_bit_rates
from avatar_sdk.webrtc.call import Call
from avatar_sdk.webrtc.config import WebRtcConfig
from avatar_sdk.webrtc.offer import UNREADABLE, Offer, unreadable

log = structlog.get_logger(__name__)

RETRY_WHEN_FULL_S: Final = 5.0
HANG_UP_S: Final = 5.0
CHECK_S: Final = 0.5
OVER: Final = ("failed", "closed")


@dataclass(eq=False)
class Peer:
    """One peer connection.

    Attributes:
        peer_id: names it in its address.
        session_id: the session it belongs to.
        answer: our SDP.
        sends: whether it drives the session or speaks into it; else it watches.
    """

    peer_id: str
    session_id: str
    sends: bool
    connection: RTCPeerConnection
    answer: str = ""
    tracks: list[MediaStreamTrack] = field(default_factory=list)
    ended: bool = False


class Peers:
    """Peer connections of all sessions. Everything runs on the event loop; encoders and decoders have aiortc's threads.

    A peer that fails, hangs up, never connects or whose session ends is freed with all it held.
    """

    def __init__(self, config: WebRtcConfig | None = None) -> None:
        self.config = config or WebRtcConfig()
        set_bit_rates(self.config)
        self._peers: dict[str, Peer] = {}
        self._calls: dict[str, Call] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._peers)

    def call(self, session_id: str) -> Call | None:
        """What the session's peers share, while there are any."""
        return self._calls.get(session_id)

    async def publish(self, session_id: str, live: LiveSession, offer: Offer) -> Peer:
        """A peer that watches: the avatar, and the delayed sound if it asks for sound (WHEP).

        Raises:
            InvalidInputError: the offer cannot be used or takes no video.
            NoCapacityError: there are too many peers.
            SessionNotFoundError: the session has ended.
        """
        if "video" not in offer.takes:
            raise InvalidInputError("the offer takes no video; add a recvonly video transceiver", field="sdp")
        peer = self._admit(session_id, live, sends=False)
        call = self._calls[session_id]
        return await self._answered(peer, live, offer, lambda: self._send(peer, call, offer))

    async def receive(self, session_id: str, live: LiveSession, offer: Offer) -> Peer:
        """A peer whose camera drives the session, and whose sound goes out with the avatar (WHIP). One a session.

        Raises:
            InvalidInputError: the offer cannot be used or gives nothing.
            NoCapacityError: there are too many peers.
            SessionBusyError: somebody drives the session or speaks into it already.
            SessionNotFoundError: the session has ended.
            MissingDependencyError: there is no MediaPipe.
        """
        if not offer.gives:
            raise InvalidInputError("the offer gives neither video nor audio; add a sendonly track", field="sdp")
        if any(peer.sends and peer.session_id == session_id for peer in self._peers.values()):
            raise SessionBusyError("another peer sends into this session already; end it first")
        peer = self._admit(session_id, live, sends=True)
        call = self._calls[session_id]
        if "video" in offer.gives:
            try:
                await call.open_camera()
            except BaseException:
                await self._end(peer)
                raise
        answered = await self._answered(peer, live, offer, lambda: None)
        for receiver in answered.connection.getReceivers():
            if receiver.track is not None:
                call.take(receiver.track)
        return answered

    async def end(self, session_id: str, peer_id: str) -> None:
        """Hangs up.

        Raises:
            SessionNotFoundError: there is no such peer.
        """
        peer = self._peers.get(peer_id)
        if peer is None or peer.session_id != session_id:
            raise SessionNotFoundError(f"peer {peer_id!r} does not exist or has gone", field="peer_id")
        await self._end(peer)

    async def close(self) -> None:
        """Hangs up on everybody."""
        await asyncio.gather(*(self._end(peer) for peer in list(self._peers.values())))
        if self._ending:
            await asyncio.wait(self._ending)

    # Coming

    def _admit(self, session_id: str, live: LiveSession, *, sends: bool) -> Peer:
        config = self.config
        own = sum(peer.session_id == session_id for peer in self._peers.values())
        if len(self._peers) >= config.max_peers or own >= config.max_peers_per_session:
            raise NoCapacityError(
                f"there are {own} peers of this session and {len(self._peers)} in all; at most "
                f"{config.max_peers_per_session} and {config.max_peers} are served",
                retry_after_s=RETRY_WHEN_FULL_S,
            )
        servers = [RTCIceServer(url) for url in config.ice_servers]
        peer = Peer(secrets.token_urlsafe(9), session_id, sends, RTCPeerConnection(RTCConfiguration(servers)))
        self._peers[peer.peer_id] = peer
        if session_id not in self._calls:
            self._calls[session_id] = Call(live, config)
        return peer

    async def _answered(self, peer: Peer, live: LiveSession, offer: Offer, prepare: Callable[[], None]) -> Peer:
        connection = peer.connection
        try:
            prepare()
            await connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        except UNREADABLE as error:
            await self._end(peer)
            raise unreadable(error) from error
        except BaseException:
            await self._end(peer)
            raise
        if peer.ended:
            raise SessionNotFoundError("the session ended while its peer was answered", field="session_id")
        connection.on("connectionstatechange", lambda: self._look(peer))
        self._check(peer, live, asyncio.get_running_loop().time() + self.config.connect_timeout_s)
        peer.answer = connection.localDescription.sdp
        log.info("peer answered", session=peer.session_id, peer=peer.peer_id, sends=peer.sends)
        return peer

    def _send(self, peer: Peer, call: Call, offer: Offer) -> None:
        """Adds what the peer takes, before its offer is applied, so that it can choose among our codecs."""
        video = call.watch()
        video.on("ended", lambda: self._end_soon(peer))
        peer.tracks.append(video)
        transceiver = peer.connection.addTransceiver(video, direction="sendonly")
        if self.config.codec != "offer":
            codecs = RTCRtpSender.getCapabilities("video").codecs
            first = f"video/{self.config.codec}"
            transceiver.setCodecPreferences(sorted(codecs, key=lambda codec: codec.mimeType.lower() != first))
        if "audio" in offer.takes:
            sound = call.sound.listen()
            peer.tracks.append(sound)
            peer.connection.addTransceiver(sound, direction="sendonly")

    # Going

    def _look(self, peer: Peer) -> None:
        if peer.connection.connectionState in OVER:
            self._end_soon(peer)

    def _check(self, peer: Peer, live: LiveSession, deadline_s: float) -> None:
        """Now and then: has its session ended, or did it never connect?"""
        if peer.ended:
            return
        loop = asyncio.get_running_loop()
        late = loop.time() > deadline_s and peer.connection.connectionState != "connected"
        if late or live.core.state is SessionState.CLOSED:
            log.info("peer given up", session=peer.session_id, peer=peer.peer_id, connected=not late)
            self._end_soon(peer)
        else:
            loop.call_later(CHECK_S, self._check, peer, live, deadline_s)

    def _end_soon(self, peer: Peer) -> None:
        if not peer.ended:
            task = asyncio.get_running_loop().create_task(self._end(peer), name="peer ends")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, peer: Peer) -> None:
        if peer.ended:
            return
        peer.ended = True
        self._peers.pop(peer.peer_id, None)
        for track in peer.tracks:
            track.stop()
        call = self._calls.get(peer.session_id)
        if call is not None and not any(other.session_id == peer.session_id for other in self._peers.values()):
            del self._calls[peer.session_id]
            await call.close()
        elif call is not None and peer.sends:
            await call.hang_up()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(HANG_UP_S):
                await peer.connection.close()
        log.info("peer ended", session=peer.session_id, peer=peer.peer_id)
