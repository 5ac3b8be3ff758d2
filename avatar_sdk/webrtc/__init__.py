"""A session as a peer in a call: its avatar out, a camera and a microphone in.

Only this folder imports aiortc (extra `[webrtc]`). Importing the folder itself does not.
"""

from avatar_sdk.webrtc.config import WebRtcConfig, webrtc_installed

__all__ = ["WebRtcConfig", "webrtc_installed"]
