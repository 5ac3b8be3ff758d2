"""The gRPC service: a thin shell around sessions."""

from avatar_sdk.server.config import ServerConfig
from avatar_sdk.server.lifecycle import Server, serve

__all__ = ["Server", "ServerConfig", "serve"]
