"""One portrait and one webcam make a live avatar: the engine and the service."""

from avatar_client._version import __version__

__all__ = ["__version__"]
