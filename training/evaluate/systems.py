"""What is compared: each is a runtime, driven by the same engine as the service's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.portrait import Portrait
from avatar_sdk.runtime import load_runtime
from avatar_sdk.runtime.guide import NetworkDraft
from avatar_sdk.runtime.protocol import Runtime
from avatar_sdk.runtime.torch import TorchRuntime, TorchState
from avatar_sdk.runtime.warp import WarpRuntime

STATIC: Final = "static"
WARP: Final = "warp"
PAINTED: Final = "painted"
MODEL: Final = "model"
NO_RECYCLE: Final = "no recycle"
NO_CACHE: Final = "no cache"
NO_GENERATOR: Final = "no generator"
BASELINES: Final = (WARP, PAINTED)
"""What the model must beat: in every region the better of the two."""

Pixels = NDArray[np.uint8]


@dataclass(eq=False)
class Still:
    """What the static portrait remembers, and its draft."""

    image: Pixels
    timings_us: dict[str, int] = field(default_factory=dict)


class StaticRuntime:
    """Implements `Runtime`: the portrait, whatever the driver does."""

    name = STATIC
    trained_stages: tuple[str, ...] = ()
    together = False
    delay = 0

    def start(self, portrait: Portrait, seed: int = 0) -> Still:
        """Keeps the photo."""
        return Still(portrait.image)

    def replace_portrait(self, state: Still, portrait: Portrait) -> None:
        """Mutates `state` in place."""
        state.image = portrait.image

    def predict(self, state: Still, motion: Motion) -> Still:
        """The photo as a draft."""
        return Still(state.image)

    def render(self, state: Still, draft: Still) -> Pixels:
        """(H, W, 3) uint8 RGB."""
        return draft.image

    def close(self, state: Still) -> None:
        """Nothing is held outside `state`."""


class ForgetfulRuntime(TorchRuntime):
    """The same weights without the recycled frame, the cache of the frames before, or anything from the generator."""

    def __init__(self, path: Path, *, recycle: bool = True, remember: bool = True, generate: bool = True) -> None:
        """See `TorchRuntime`."""
        super().__init__(path)
        self._recycle, self._remember, self._generate = recycle, remember, generate

    def predict(self, state: TorchState, motion: Motion) -> NetworkDraft:
        """Warp and generator, after forgetting what it is not to know."""
        from avatar_sdk.model.cache import RingCache

        if not self._recycle:
            state.latent = self._torch.zeros_like(state.latent)
        if not self._remember:
            g = self.config.generator
            state.caches = [RingCache(g.heads, g.tokens, g.window, g.head_dim) for _ in range(g.depth)]
        draft = super().predict(state, motion)
        return draft if self._generate else replace(draft, latent=np.zeros_like(draft.latent))


def runtime_of(model: str) -> Runtime:
    """As `load_runtime`, but takes the file of a checkpoint too, which then runs on PyTorch.

    Raises:
        InvalidConfigError: no such model.
    """
    path = Path(model)
    return TorchRuntime(path) if path.suffix == ".safetensors" and path.is_file() else load_runtime(model)


def systems(model: str, weights: Path | None = None) -> Mapping[str, Callable[[], Runtime]]:
    """Name → how it is made; a system holds state only in what it opens.

    Args:
        model: as `runtime_of` takes it.
        weights: its checkpoint, to compare it with itself without memory and without what the generator says, by its
            decoder alone; None = no such rows.
    """
    made: dict[str, Callable[[], Any]] = {
        STATIC: StaticRuntime,
        WARP: lambda: WarpRuntime(painted_mouth=False),
        PAINTED: WarpRuntime,
        MODEL: lambda: runtime_of(model),
    }
    if weights is not None:
        made[NO_RECYCLE] = lambda: ForgetfulRuntime(weights, recycle=False)
        made[NO_CACHE] = lambda: ForgetfulRuntime(weights, remember=False)
        made[NO_GENERATOR] = lambda: ForgetfulRuntime(weights, generate=False)
    return made
