"""The light client of avatar-sdk: poses in, avatar frames out."""

from avatar_client._version import __version__

__all__ = ["__version__"]
