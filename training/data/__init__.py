"""Clips on disk: what a stage trains on.

`clip` is one clip of face-aligned crops with what the network is told about them, `shards` stores many, `batches` makes
training batches of them.
"""

from training.data.clip import Clip
from training.data.shards import Shards, ShardWriter

__all__ = ["Clip", "ShardWriter", "Shards"]
