"""The network on PyTorch: `single` steps one session, the parity reference; `batch` steps many of them per tick.

A tick is one static-shaped program from the motions to the pictures: `geometry` moves the mesh, `raster` and `picture`
take the photo there, `mouth` and `eyes` paint, `crop` describes, the network runs, `composite` adds. `slots` holds what
sessions remember, `feed` what a tick is given, `graph` replays it on CUDA. Importing this package needs no torch.
"""

from avatar_sdk.runtime.torch.single import TorchRuntime, TorchState

__all__ = ["TorchRuntime", "TorchState"]
