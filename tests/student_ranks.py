"""What two ranks do with a video student; each process runs `main`."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from video_models import CODECS, codec_of, save_part
from video_students import student_of

from training.data import Shards
from training.data.batches import BatchConfig, Batches
from training.discriminator import Discriminator
from training.ranks import ALONE, Ranks, joined
from training.rollout import RolloutConfig
from training.run import RunConfig, RunResult, train
from training.stages.adapt import AdaptConfig, AdaptStage
from training.stages.adversarial import AdversarialConfig, AdversarialStage
from training.stages.stage import Stage
from training.video.files import CODEC

CASES = ("adapt", "adversarial-lora")
STEPS = 2
FRAMES = 9


def build(case: str, ranks: Ranks = ALONE) -> Stage:
    """A stage before its first step; adapters beside half-precision matrices, or all weights."""
    name, _, lora = case.partition("-")
    dtype = torch.bfloat16 if lora else torch.float32
    student = student_of(lora=2 if lora else 0, again=case != "adapt", dtype=dtype)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        if name == "adapt":
            return AdaptStage(student, AdaptConfig(FRAMES, lr=1e-3, parts=student.parts), ranks)
        walk = RolloutConfig(frames=3, segment=2, overlap=1)
        game = AdversarialConfig(FRAMES, walk, lr=1e-3, pixel_frames=0, parts=student.parts)
        return AdversarialStage(student, Discriminator(student, "causal"), game, ranks)


def go(case: str, data: Path, run: Path, steps: int, ranks: Ranks = ALONE, clips: int = 2) -> RunResult:
    """Trains up to a step, as the same command again would."""
    stage = build(case, ranks)
    codec = run / stage.name / CODEC
    if ranks.lead and not codec.is_file():
        codec.parent.mkdir(parents=True, exist_ok=True)
        save_part(codec, codec_of(CODECS["taehv"]), "codec")
    batches = Batches([Shards(data)], BatchConfig(clips, FRAMES), ranks.rank, ranks.size)
    return train(stage, batches, run, replace(RunConfig(steps, log_every=1, warm_up=2)), ranks=ranks)


def main(rank: int, port: int, data: Path, folder: Path) -> None:
    """Every case."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    here = {"WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in here.items()}
    with joined("cpu") as ranks:
        for case in CASES:
            go(case, data, folder / case, STEPS, ranks)
