"""Where a step runs: `onnx` (embedded default), `torch` (GPU; parity reference), `warp` (no network)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from avatar_client.errors import InvalidConfigError, MissingDependencyError

from avatar_sdk.model.checkpoint import WEIGHTS, holds_part, read_header
from avatar_sdk.runtime.protocol import Runtime

SHIPPED: Final = ("lite",)


ASSETS: Final = Path(__file__).parent.parent / "assets"
TORCH: Final = "torch:"
CUDA: Final = "cuda:"
BATCH: Final = "batch:"


def load_runtime(model: str, slots: int = 1) -> Runtime:
    """The runtime of a model.

    Args:
        model: "warp" (no network), "lite" (shipped) or the path of an exported folder; with "torch:" in front it runs
            on PyTorch instead of ONNX Runtime, with "cuda:" on ONNX Runtime's CUDA provider, with "batch:" on PyTorch
            with CUDA, all sessions stepped together at 512×512. The run of a large generator that has been through
            all stages runs on PyTorch with CUDA, with "torch:" in front on the CPU.
        slots: sessions that will live at once; only a batch has to know.

    Raises:
        InvalidConfigError: no such model, or its files do not fit.
        MissingDependencyError: the package that runs it is not installed.
    """
    if model == "warp":
        from avatar_sdk.runtime.warp import WarpRuntime

        return WarpRuntime()
    if model.startswith(BATCH):
        return _load_batch(model_folder(model.removeprefix(BATCH)) / WEIGHTS, slots)
    folder = model_folder(model.removeprefix(TORCH).removeprefix(CUDA))
    if (folder / WEIGHTS).is_file() and holds_part(folder / WEIGHTS):
        return _load_video(folder, "cpu" if model.startswith(TORCH) else "cuda")
    if model.startswith(TORCH):
        from avatar_sdk.runtime.torch import TorchRuntime

        return TorchRuntime(folder / WEIGHTS)
    from avatar_sdk.runtime.onnx import OnnxRuntime

    providers = ("CUDAExecutionProvider",) if model.startswith(CUDA) else ()
    return OnnxRuntime(folder, (*providers, "CPUExecutionProvider"))


def model_folder(name: str) -> Path:
    """The folder of a model's graphs and weights.

    Raises:
        InvalidConfigError: neither shipped nor an exported folder; of a checkpoint, with what is to be done with it.
    """
    folder = ASSETS / name if name in SHIPPED else Path(name)
    if folder.is_file():
        read_header(folder)  # refuses what nobody has trained, and says how it is done
        raise InvalidConfigError(
            f"{name} is a checkpoint; `avatar export FOLDER --checkpoint {name}` makes a model of it", field="model"
        )
    if not folder.is_dir():
        raise InvalidConfigError(
            f"there is no model {name!r}; use warp, {', '.join(SHIPPED)} or the folder that `avatar export` wrote",
            field="model",
        )
    return folder


def _load_video(folder: Path, device: str) -> Runtime:
    if not find_spec("torch"):
        raise MissingDependencyError("torch is not installed; install avatar-sdk[gpu]")
    from avatar_sdk.runtime.torch.video.config import VideoConfig
    from avatar_sdk.runtime.torch.video.runtime import VideoRuntime

    try:
        return VideoRuntime(folder, VideoConfig(device, "float32" if device == "cpu" else "bfloat16"))
    except MissingDependencyError as error:
        raise MissingDependencyError(
            f"{folder} holds a large generator, which needs a CUDA device, and torch sees none; with {TORCH}{folder} "
            "it runs on the CPU, far slower than in real time"
        ) from error


def _load_batch(path: Path, slots: int) -> Runtime:
    if not find_spec("torch"):
        raise MissingDependencyError("torch is not installed; install avatar-sdk[gpu]")
    from avatar_sdk.runtime.torch.batch import BatchRuntime
    from avatar_sdk.runtime.torch.config import BatchConfig
    from avatar_sdk.runtime.torch.gathering import GatheringRuntime

    return GatheringRuntime(BatchRuntime.load(path, BatchConfig(slots, "cuda", precision="bfloat16")))
