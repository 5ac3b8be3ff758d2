"""A public generator on its way to an avatar: it, what conditions it, and the encoder of a frozen codec.

B rows, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avatar_sdk.model.generator import Generator
from avatar_sdk.model.presets import GeneratorConfig
from avatar_sdk.model.video.build import Encoder
from avatar_sdk.model.video.config import VideoCodecConfig
from avatar_sdk.model.video.stem import Stem
from training.ranks import ALONE, Ranks
from training.video.lora import ADAPTER, add_adapters, merged


@dataclass(frozen=True)
class StudentConfig:
    """What must stay the same for a run to go on.

    Attributes:
        preset: whose sizes the generator has; "" = no preset's.
        generator: at the size of the training pictures.
        codec: with the stem, if one learns.
        lora: rank of the adapters; 0 = all weights learn.
        source: layout that the generator was imported from.
    """

    preset: str
    generator: GeneratorConfig
    codec: VideoCodecConfig
    lora: int = 0
    source: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return self.preset or "video generator"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
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
        """(B, 4, C, H, W) in [0, 1] → (B, C, H, W) of the latent."""
        rows, _, _, height_px, width_px = guide_BFCHW.shape
        return self.stem.later(guide_BFCHW, self.stem.start(rows, height_px, width_px))


@dataclass(frozen=True, eq=False)
class VideoProduct:
    """What a stage leaves, without anything that only training needs.

    Attributes:
        config: of the student.
        generator: its weights by name, in the types they were imported in; adapters are merged.
        stem: likewise; empty without one.
    """

    config: StudentConfig
    generator: Mapping[str, Tensor]
    stem: Mapping[str, Tensor]


class VideoStudent(nn.Module):
    """Named as `AvatarModel` where it has the same parts; a step of its generator is a latent of four frames.

    Attributes:
        config: what it is.
        conditioner: a stem for the warped frames; or nothing, and lessons bring them as latents of the codec.
        parts: dotted names of the modules that learn.
        units: names of the modules whose weights are split among ranks.
        text_1SD: the prompt's embedding; None = a generator without text.
    """

    text_1SD: Tensor | None

    def __init__(
        self,
        config: StudentConfig,
        generator: Generator,
        encoder: Encoder,
        stem: Stem | None = None,
        text_1SD: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        """Prepares what was loaded for training: what learns becomes float32. Mutates the modules.

        Args:
            config: what it is; `lora` decides what learns.
            generator: as imported.
            encoder: of the frozen codec.
            stem: trained or fresh.
            text_1SD: see the class.
            seed: of fresh adapters.
        """
        super().__init__()
        self.config = config
        self.conditioner: nn.Module = nn.Identity() if stem is None else StemConditioner(stem)
        self.generator = generator
        self.encoder = encoder.requires_grad_(False)
        self.register_buffer("text_1SD", text_1SD, persistent=False)
        self._stored = {name: weight.dtype for name, weight in generator.state_dict().items()}
        self.units = ("generator",) if stem is None else ("conditioner", "generator")
        self.parts = self.units
        if config.lora:
            names = [f"generator.{name}.{ADAPTER}" for name in add_adapters(generator, config.lora, seed)]
            # The input has new columns, which nothing but themselves can learn.
            self.parts = (*self.units[:-1], "generator.patch_embedding", *names)
        for part in self.parts:
            for weight in self.get_submodule(part).parameters():
                weight.data = weight.data.to(torch.float32, copy=True)  # what was loaded may be mapped from a file

    def product(self, averages: Mapping[str, Tensor], ranks: Ranks = ALONE) -> VideoProduct:
        """The weights, averaged where there are averages. All ranks must ask; only rank 0 is given weights."""
        own = {name: w for name, w in self.state_dict().items() if name.partition(".")[0] in self.units}
        unknown = set(averages) - set(own)
        assert not unknown, f"averaged weights the student does not have: {sorted(unknown)[:3]}"
        whole = ranks.whole({**own, **averages})
        generator = {name: w.to("cpu", self._stored[name]) for name, w in merged(_within(whole, "generator.")).items()}
        stem = {name: w.to("cpu") for name, w in _within(whole, "conditioner.stem.").items()}
        return VideoProduct(self.config, generator, stem)


def parts_elsewhere(parts: Sequence[str], before: str, after: str) -> tuple[str, ...]:
    """Dotted names in a network that has the module `before` under the name `after`."""
    return tuple(".".join([after if top == before else top, *rest]) for top, *rest in (p.split(".") for p in parts))


def _within(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
