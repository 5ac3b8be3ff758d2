"""Where a step runs: `onnx` (embedded default), `torch` (GPU; parity reference), `warp` (no network)."""

from __future__ import annotations

from avatar_sdk.runtime.protocol import Runtime


def load_runtime(model: str) -> Runtime:
    """The runtime for "warp", "lite" or the path of an exported checkpoint.

    Raises:
        InvalidConfigError: no such model, or its files do not fit.
        MissingDependencyError: the package that runs it is not installed.
    """
    if model == "warp":
        from avatar_sdk.runtime.warp import WarpRuntime

        return WarpRuntime()
    raise NotImplementedError(model)
