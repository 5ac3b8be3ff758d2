"""What a peer offers, read with suspicion: it is text from outside, and its parser trusts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import aiortc
from aiortc.sdp import MediaDescription, SessionDescription
from avatar_client.errors import InvalidInputError

MOST_BYTES: Final = 64 << 10
MOST_SECTIONS: Final = 2
UNREADABLE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    StopIteration,
    TypeError,
    ValueError,
    aiortc.InvalidAccessError,
    aiortc.InvalidStateError,
    aiortc.exceptions.OperationError,
)
"""What aiortc and aioice raise for descriptions that make no sense."""


@dataclass(frozen=True)
class Offer:
    """One peer's offer.

    Attributes:
        sdp: as it came.
        gives, takes: "audio", "video": what the peer wants to send and to receive.
    """

    sdp: str
    gives: frozenset[str]
    takes: frozenset[str]


def read_offer(data: bytes) -> Offer:
    """Reads an SDP offer.

    Raises:
        InvalidInputError: it is none, or asks for more than one picture and one sound.
    """
    if len(data) > MOST_BYTES:
        raise InvalidInputError(f"the offer has {len(data)} bytes; at most {MOST_BYTES} are read", field="sdp")
    try:
        sdp = data.decode()
        parsed = SessionDescription.parse(sdp) if sdp.startswith("v=0") else SessionDescription()
    except UNREADABLE as error:
        raise unreadable(error) from error
    media: list[MediaDescription] = parsed.media
    kinds = [section.kind for section in media]
    if not kinds or len(kinds) > MOST_SECTIONS or len(set(kinds)) < len(kinds) or set(kinds) - {"audio", "video"}:
        raise InvalidInputError(
            f"the offer has {', '.join(kinds[:8]) or 'no media section'}; send an SDP offer with one video section, "
            "one audio section, or both",
            field="sdp",
        )
    names = [section.rtp.muxId for section in media]
    bundled = {name for group in parsed.group if group.semantic == "BUNDLE" for name in group.items}
    if len(set(names)) < len(names) or not bundled <= set(names):  # aiortc would lose a transport over it
        raise InvalidInputError(
            f"the offer's sections are named {names} and it bundles {sorted(bundled)[:8]}; every section needs a mid "
            "of its own, and only those can be bundled",
            field="sdp",
        )
    return Offer(
        sdp,
        gives=frozenset(one.kind for one in media if one.direction in ("sendonly", "sendrecv")),
        takes=frozenset(one.kind for one in media if one.direction in ("recvonly", "sendrecv")),
    )


def unreadable(error: Exception) -> InvalidInputError:
    """The typed error for a description that aiortc cannot use."""
    return InvalidInputError(
        f"the offer cannot be used ({type(error).__name__}: {str(error)[:120]}); send the SDP of an RTCPeerConnection "
        "whose ICE gathering is complete",
        field="sdp",
    )
