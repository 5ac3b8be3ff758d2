"""The geometric prior: the photo itself, moved.

`mesh` says where every part of the photo goes, `raster` takes it there, `mouth` and `eyes` paint what the photo cannot
show, `maps` describe the result to the network, `composite` adds what the network makes of it.
"""

from avatar_sdk.warp.composite import composite
from avatar_sdk.warp.frame import CROP_PX, POSE_MAPS, WarpedFrame
from avatar_sdk.warp.step import Warp
from avatar_sdk.warp.tables import WarpTables, tables_of

__all__ = ["CROP_PX", "POSE_MAPS", "Warp", "WarpTables", "WarpedFrame", "composite", "tables_of"]
