"""What two ranks do in the tests of training together; each process runs `main`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from training_clips import CONFIG

from avatar_sdk.model.avatar import AvatarModel
from training.data import Shards
from training.data.batches import Batch, BatchConfig, Batches
from training.discriminator import Discriminator
from training.errors import DataError, DivergedError, RankError
from training.ranks import ALONE, Ranks, joined
from training.rollout import RolloutConfig
from training.run import LOG, MODEL, RunConfig, RunResult, train
from training.setting import session
from training.stages.adapt import AdaptConfig, AdaptStage
from training.stages.adversarial import AdversarialConfig, AdversarialStage
from training.stages.codec import CodecStage, CodecStageConfig
from training.stages.distill import DistillConfig, DistillStage
from training.stages.stage import Stage

STAGES = ("adapt", "distill", "adversarial", "codec")
STEPS, HALF_WAY = 3, 2
FRAMES = 3
PARTS = ("conditioner", "generator", "decoder")


def fresh_model() -> AvatarModel:
    """A model whose decoder shows what the latent says."""
    model = AvatarModel.fresh(CONFIG, seed=1)
    torch.nn.init.normal_(model.decoder.last.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    model.encoder.std.fill_(0.3)
    return model


def build(name: str, ranks: Ranks = ALONE) -> Stage:
    """A stage before its first step."""
    model = fresh_model()
    with torch.random.fork_rng():
        torch.manual_seed(7 + ranks.rank)  # only rank 0's fresh weights count
        if name == "adapt":
            return AdaptStage(model, AdaptConfig(frames=FRAMES, lr=3e-3), ranks)
        if name == "distill":
            return DistillStage(model, DistillConfig(frames=FRAMES, lr=3e-3), ranks)
        if name == "codec":
            return CodecStage(model, CodecStageConfig(window_px=32, settle=1, adversarial_from=1), ranks)
        walk = RolloutConfig(frames=3, segment=2, overlap=1)
        game = AdversarialConfig(FRAMES, walk, lr=1e-3, pixel_frames=2, window_px=32, parts=PARTS)
        return AdversarialStage(model, Discriminator(model, "causal"), game, ranks)


def go(
    name: str, data: Path, run: Path, steps: int, ranks: Ranks = ALONE, stage: Stage | None = None, **changes: Any
) -> RunResult:
    """Trains up to a step, as the same command again would."""
    stage = stage or build(name, ranks)
    batches = Batches([Shards(data)], BatchConfig(4, stage.frames), ranks.rank, ranks.size)
    config = replace(RunConfig(steps, log_every=1, warm_up=3), **changes)
    return train(stage, batches, run, config, ranks=ranks)


def curve(run: Path, name: str) -> list[dict[str, float]]:
    """The log without its clock."""
    lines = [json.loads(line) for line in (run / name / LOG).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


class Told(AdaptStage):
    """One rank is told to end during a step, or its loss is no number."""

    def __init__(self, ranks: Ranks, happens: str) -> None:
        super().__init__(fresh_model(), AdaptConfig(frames=FRAMES), ranks)
        self.happens = happens if ranks.rank == 1 else ""

    def step(self, batch: Batch, step: int, rng: torch.Generator) -> Mapping[str, Any]:
        if step == HALF_WAY - 1 and self.happens == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        metrics = super().step(batch, step, rng)
        if step == HALF_WAY - 1 and self.happens == "nan":
            return {**metrics, "loss": metrics["loss"] * float("nan")}
        return metrics


def main(
    rank: int, port: int, data: Path, folder: Path, device: str = "cpu", only: tuple[str, ...] | None = None
) -> None:
    """Everything that takes two processes; what each saw is left in `folder`."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    here = {"WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in here.items()}
    seen: dict[str, Any] = {}
    with joined(device) as ranks:
        for name in only or STAGES:
            go(name, data, folder / "whole", STEPS, ranks, device=ranks.device, half=False)
            if ranks.lead:
                shutil.copy(folder / "whole" / MODEL, folder / f"{name}.safetensors")
            if only or name == "codec":  # it differs from the others in its step only
                continue
            go(name, data, folder / "parts", HALF_WAY, ranks)
            if ranks.lead:
                shutil.copytree(folder / "parts" / name, folder / "half" / name)
            go(name, data, folder / "parts", STEPS, ranks)
            go(name, data, folder / "begun_by_one", STEPS, ranks)
        if only:
            return
        result = go("adapt", data, folder / "signal", STEPS, ranks, Told(ranks, "signal"))
        seen["signal"] = [result.step, result.interrupted, result.finished]
        try:
            go("adapt", data, folder / "nan", STEPS, ranks, Told(ranks, "nan"), save_every_s=0)
        except DivergedError as error:
            seen["nan"] = error.message
        try:
            go("adapt", data, folder / "half", STEPS, ranks, seed=5)
        except DataError as error:
            seen["seed"] = error.message
        seen["late"] = go("adapt", data, folder / "late", STEPS, ranks, minutes=0.0 if rank else None).step

        def fail() -> None:
            raise DataError("full")

        try:
            ranks.together(fail if rank else lambda: None)
        except (DataError, RankError) as error:
            seen["together"] = type(error).__name__
        stage = build("adapt", ranks)
        batches = Batches([Shards(data)], BatchConfig(4, stage.frames), ranks.rank, ranks.size)
        session(stage, batches, folder / "portable", RunConfig(1), (), folder / "small", ranks)
    (folder / f"seen.{rank}.json").write_text(json.dumps(seen))


def free_port() -> int:
    """For the processes to meet at."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
