"""The web port: the page, the same calls over HTTP, the same streams over WebSocket. Another shell around `Calls`."""

from avatar_sdk.server.web.listener import WebListener

__all__ = ["WebListener"]
