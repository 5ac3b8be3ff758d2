"""The avatar as a camera that Zoom, Meet, Teams and OBS can choose, and a microphone that keeps up with it.

`device` is the only file that imports pyvirtualcam (GPL-2, extra `[virtualcam]`), and only inside functions.
"""

from avatar_sdk.virtual_camera.camera import VirtualCamera, VirtualCameraConfig
from avatar_sdk.virtual_camera.device import check_device, virtual_camera_installed
from avatar_sdk.virtual_camera.obs import ObsConfig, ObsSync

__all__ = [
    "ObsConfig",
    "ObsSync",
    "VirtualCamera",
    "VirtualCameraConfig",
    "check_device",
    "virtual_camera_installed",
]
