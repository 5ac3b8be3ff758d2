"""Virtual camera devices: opening one, and what to do when there is none."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from avatar_client.errors import CameraError, MissingDependencyError

EFI_VARIABLES: Final = Path("/sys/firmware/efi/efivars")
MODPROBE: Final = "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=Avatar video_nr=10"
"""Browsers list a loopback device only with exclusive_caps=1."""
FIXES: Final = {
    "Linux": f"load the kernel module: {MODPROBE} (Debian and Ubuntu: first sudo apt install v4l2loopback-dkms)",
    "Windows": "install OBS Studio, press Start Virtual Camera once, then Stop, and close OBS",
    "Darwin": "install OBS Studio 30 or newer into Applications, press Start Virtual Camera once, allow its camera "
    "extension in System Settings › General › Login Items & Extensions, then Stop, and close OBS",
}
SECURE_BOOT: Final = (
    "Secure Boot is on, so the kernel refuses the module until its key is enrolled: "
    "sudo mokutil --import /var/lib/dkms/mok.pub, then restart and confirm"
)


def virtual_camera_installed() -> bool:
    """Whether the extra `[virtualcam]` is there."""
    return find_spec("pyvirtualcam") is not None


def open_device(width_px: int, height_px: int, fps: float, device: str | None = None) -> Any:
    """Opens `device`, or the first there is, as a `pyvirtualcam.Camera` for RGB frames.

    Raises:
        MissingDependencyError: pyvirtualcam is not installed.
        CameraError: there is no such device; the message says how to get one on this system.
    """
    try:
        import pyvirtualcam
    except ImportError as error:
        raise MissingDependencyError(
            f"a virtual camera needs pyvirtualcam, which cannot be imported ({error}); "
            "pip install 'avatar-sdk[virtualcam]'"
        ) from error
    try:
        return pyvirtualcam.Camera(width_px, height_px, fps, device=device)
    except RuntimeError as error:  # all that pyvirtualcam raises when no backend has a device
        raise CameraError(explained(device, str(error))) from error


def check_device(device: str | None = None, size_px: tuple[int, int] = (512, 512)) -> str:
    """Looks whether a virtual camera can be opened, before anything slow is started. Returns the device's name.

    Raises:
        MissingDependencyError, CameraError: as `open_device`.
    """
    with open_device(*size_px, 24.0, device) as camera:
        return str(camera.device)


def explained(device: str | None, words: str) -> str:
    """What is wrong, in pyvirtualcam's words, and the way out on this system."""
    system = platform.system()
    if system == "Linux" and device is not None and not Path(device).exists():
        words = "there is no such file"
    fix = FIXES.get(system, "this system has no virtual camera that is supported")
    if system == "Linux" and secure_boot():
        fix += f". {SECURE_BOOT}"
    named = f"virtual camera {device}" if device else "a virtual camera"
    return f"{named} cannot be opened ({'; '.join(words.splitlines())}); {fix}"


def secure_boot(variables: Path = EFI_VARIABLES) -> bool:
    """Whether this machine's firmware says that Secure Boot is on."""
    try:
        return any(path.read_bytes()[-1:] == b"\x01" for path in variables.glob("SecureBoot-*"))
    except OSError:
        return False
