"""A public generator on its way to an avatar: it, a stem for the warped frames, and the encoder of a frozen codec.

B rows, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avatar_sdk.model.conditioner import GUIDE_CHANNELS
from avatar_sdk.model.generator import Generator
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.config import STEM_PATCH_PX, StemConfig, VideoCodecConfig
from avatar_sdk.model.video.stem import Stem
from avatar_sdk.model.video.taehv import TaehvEncoder
from avatar_sdk.model.video.wan_vae import WanEncoder
from training.ranks import ALONE, Ranks
from training.video.lora import ADAPTER, add_adapters, merged


@dataclass(frozen=True)
class StudentConfig:
    """What must stay the same for a run to go on.

    Attributes:
        preset: whose sizes the generator has; "" = no preset's.
        generator: at the size of the training pictures.
        codec: with the stem.
        lora: rank of the adapters; 0 = all weights learn.
    """

    preset: str
    generator: GeneratorConfig
    codec: VideoCodecConfig
    lora: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.preset or "video",
            "generator": self.generator.to_dict(),
            "codec": self.codec.to_dict(),
            "lora": self.lora,
        }


class StemConditioner(nn.Module):
    """The stem as stages use it: a row is the four frames of a latent."""

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.stem = stem

    def forward(self, guide_BFCHW: Tensor) -> Tensor:
        """(B, 4, 11, H, W) in [0, 1] → (B, C, H, W) of the latent."""
        rows, _, _, height_px, width_px = guide_BFCHW.shape
        return self.stem.later(guide_BFCHW, self.stem.start(rows, height_px, width_px))


@dataclass(frozen=True, eq=False)
class VideoProduct:
    """What a stage leaves, without anything that only training needs.

    Attributes:
        config: of the student.
        generator: its weights by name, in the types they were imported in; adapters are merged.
        stem: likewise.
    """

    config: StudentConfig
    generator: dict[str, Tensor]
    stem: dict[str, Tensor]


class VideoStudent(nn.Module):
    """Named as `AvatarModel` where it has the same parts; a step of its generator is a latent of four frames.

    Attributes:
        config: what it is.
        parts: dotted names of the modules that learn.
        text_1SD: the prompt's embedding; None = a generator without text.
    """

    UNITS = ("conditioner", "generator")
    """Modules whose weights are split among ranks."""
    text_1SD: Tensor | None

    def __init__(
        self,
        config: StudentConfig,
        generator: Generator,
        stem: Stem,
        encoder: WanEncoder | TaehvEncoder,
        text_1SD: Tensor | None,
        seed: int = 0,
    ) -> None:
        """Prepares what is loaded for training: what learns becomes float32. Mutates `generator` and `stem`.

        Args:
            config: what it is; `lora` decides what learns.
            generator: as imported.
            stem: trained or fresh.
            encoder: of the frozen codec.
            text_1SD: see the class.
            seed: of fresh adapters.
        """
        super().__init__()
        self.config = config
        self.conditioner = StemConditioner(stem.float())
        self.generator = generator
        self.encoder = encoder.requires_grad_(False)
        self.register_buffer("text_1SD", text_1SD, persistent=False)
        self._stored = {name: weight.dtype for name, weight in generator.state_dict().items()}
        self.parts: tuple[str, ...] = self.UNITS
        if config.lora:
            generator.patch_embedding.float()
            adapted = add_adapters(generator, config.lora, seed)
            names = [f"generator.{name}.{ADAPTER}" for name in adapted]
            # The input has new columns, which nothing but themselves can learn.
            self.parts = ("conditioner", "generator.patch_embedding", *names)
        else:
            generator.float()

    def product(self, averages: dict[str, Tensor], ranks: Ranks = ALONE) -> VideoProduct:
        """The weights with averages where there are any. Of several ranks only rank 0 is given weights; all must ask."""
        own = {name: weight for name, weight in self.state_dict().items() if name.startswith(self.UNITS)}
        assert set(averages) <= set(own), "averaged weights the student does not have"
        whole = ranks.whole({**own, **averages})
        generator = merged(_within(whole, "generator."))
        stored = {name: weight.to(self._stored[name]).cpu() for name, weight in generator.items()}
        stem = {name: weight.cpu() for name, weight in _within(whole, "conditioner.stem.").items()}
        return VideoProduct(self.config, stored, stem)


def stem_config(codec: VideoCodecConfig, guide_channels: int = GUIDE_CHANNELS) -> StemConfig:
    """A stem for the warped frames and their pose maps, of the codec's cells; it halves until it reaches them."""
    space_px = codec.encoder.space_px
    widths = [32]
    while STEM_PATCH_PX * 2 ** (len(widths) - 1) < space_px:
        widths.append(128)
    return StemConfig(guide_channels, codec.encoder.latent_channels, tuple(widths))


def fresh_stem(config: StemConfig, seed: int) -> Stem:
    """Untrained weights, the same for the same seed."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Stem(config)


def adapted_parts(names: Sequence[str], before: str, after: str) -> tuple[str, ...]:
    """Dotted names in a copy that holds the generator under another name."""
    return tuple(f"{after}{name.removeprefix(before)}" if name.startswith(before) else name for name in names)


def _within(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
