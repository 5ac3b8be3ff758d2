"""Runs the arms over the seeds, and goes on where an earlier session stopped.

A run folder holds `settings.json`; `people` and `told`, who are drawn; `begin`, the checkpoint that all arms share; and
per seed and arm a folder with what stage 3 left and `measures.json`. Seeds differ in batches, noise and the
discriminator's last layer.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from avatar_client.errors import InvalidConfigError
from rich.console import Console

from avatar_sdk.model import checkpoint
from training.ablate.arms import LONGEST, Arm, arms_named
from training.ablate.claims import verdicts
from training.ablate.measures import Measures, measured
from training.ablate.plot import BEGINNING, plot
from training.ablate.report import Ablation, print_ablation, save
from training.data import Shards
from training.data.batches import Batch
from training.discriminator import Discriminator
from training.errors import DataError
from training.miniature import Cast, begin, draw, early_stage, practise, strangers
from training.run import MODEL, RunConfig
from training.setting import initial_model, judge_model
from training.stages.adversarial import AdversarialStage

BEGIN: Final = "begin"
MEASURES: Final = "measures.json"
SETTINGS: Final = "settings.json"
EARLY_CLIPS: Final = 6
UNSEEN: Final = 900
"""Number of the first person that is never trained on."""


@dataclass(frozen=True)
class AblationConfig:
    """Sizes of the ablation.

    Attributes:
        people: drawn for training.
        clip_frames: of each; at least the longest training walk, or it would run forth and back.
        strangers: drawn for measuring.
        walk: frames of the walk that is measured.
        face_every: the generator is told the face in every so many frames, and only the head in between: if a pose told
            everything, a frame would not need the ones before it, and nothing could drift.
        codec_steps: of the codec.
        adapt_steps: of stage 1, purely teacher-forced.
        distill_steps: of stage 2.
        steps: of stage 3, in every arm.
    """

    people: int = 12
    clip_frames: int = 64
    strangers: int = 4
    walk: int = 256
    face_every: int = 8
    codec_steps: int = 120
    adapt_steps: int = 200
    distill_steps: int = 40
    steps: int = 40

    def __post_init__(self) -> None:
        if self.walk <= LONGEST:
            raise InvalidConfigError(
                f"a walk of {self.walk} frames shows no drift beyond training; it must be longer than {LONGEST}"
            )


class Clock:
    """What is left of a session."""

    def __init__(self, minutes: float | None) -> None:
        self._deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes

    @property
    def minutes(self) -> float | None:
        """None = endless."""
        return None if math.isinf(self._deadline) else max(0.0, (self._deadline - time.monotonic()) / 60)


def ablate(
    folder: Path, config: AblationConfig, seeds: int, names: tuple[str, ...], minutes: float | None, console: Console
) -> Ablation:
    """Trains what is missing, measures, and leaves `ablation.json` and `ablation.png` in `folder`.

    Args:
        folder: of the run.
        config: its sizes; a run has the same ones in all sessions.
        seeds: how often every arm is trained; seed by seed, so that a short session has all arms of the first.
        names: of arms; none = all.
        minutes: how long this session trains; None = until all is done.
        console: for the table.

    Raises:
        InvalidConfigError: there is no such arm.
        DataError: the folder belongs to another ablation, or cannot be written.
        DivergedError: the loss of an arm is no longer a number.
    """
    arms = arms_named(names)
    _settle(folder, config)
    finished = _run_all(folder, config, seeds, arms, Clock(minutes), console)
    ablation = _gathered(folder, config, arms, seeds, finished)
    save(folder / "ablation.json", ablation)
    state = "done" if finished else "to be continued by the same command"
    if not ablation.results:
        console.print(f"{folder}: nothing is measured yet; {state}", highlight=False)
        return ablation
    print_ablation(console, ablation)
    plot(ablation, folder / "ablation.png")
    console.print(f"{folder}: ablation.json and ablation.png; {state}", highlight=False)
    return ablation


def _run_all(
    folder: Path, config: AblationConfig, seeds: int, arms: tuple[Arm, ...], clock: Clock, console: Console
) -> bool:
    """Whether everything is done; if not, time is up or somebody has pressed Ctrl-C."""
    people = draw(folder / "people", Cast(config.people, config.clip_frames))
    told = draw(folder / "told", Cast(config.people, config.clip_frames, face_every=config.face_every))
    unseen = strangers(Cast(config.strangers, config.walk, UNSEEN, config.face_every))
    if not (folder / BEGIN / MEASURES).is_file():
        console.print("codec, stage 1 and stage 2, which all arms share", highlight=False)
        if not _beginning(folder / BEGIN, people, told, config, clock):
            return False
        _measure(folder / BEGIN, Arm(BEGINNING, ""), unseen, 0)
    for seed in range(seeds):
        place = folder / f"seed-{seed}"
        for arm in arms:
            if (place / arm.name / MEASURES).is_file():
                continue
            console.print(f"seed {seed}: {arm.name}, {arm.says}", highlight=False)
            if not _train(arm, place / arm.name, folder / BEGIN, told, RunConfig(config.steps, clock.minutes, seed)):
                return False
            _measure(place / arm.name, arm, unseen, seed)
    return True


def _settle(folder: Path, config: AblationConfig) -> None:
    """Writes the settings, or compares them with what stands there."""
    path, mine = folder / SETTINGS, asdict(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            path.write_text(json.dumps(mine, indent=1) + "\n")
        theirs = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be used: {error}; give another --run") from error
    for name, value in mine.items():
        if theirs.get(name) != value:
            raise DataError(f"{folder} has {name} {theirs.get(name)}, not {value}; use that, or another --run")


def _beginning(folder: Path, people: Shards, told: Shards, config: AblationConfig, clock: Clock) -> bool:
    """Codec, stage 1 and stage 2; whether they are done. The codec learns from pictures whose whole pose is told."""
    for name, data, steps in (
        ("codec", people, config.codec_steps),
        ("adapt", told, config.adapt_steps),
        ("distill", told, config.distill_steps),
    ):
        model, stages = begin(folder, name, 0)
        run = RunConfig(steps, clock.minutes)
        if not practise(early_stage(name, model, forget=0.0), data, EARLY_CLIPS, folder, run, stages).finished:
            return False
    return True


def _train(arm: Arm, own: Path, shared: Path, told: Shards, run: RunConfig) -> bool:
    """Stage 3; whether it is done."""
    model, stages = initial_model(own, AdversarialStage.name, shared / MODEL, None, run.seed, needs="distill")
    torch.manual_seed(run.seed)
    judge = Discriminator(judge_model(shared, None, model), arm.discriminator)
    stage = AdversarialStage(model, judge, arm.config())
    return practise(stage, told, arm.clips, own, run, stages).finished


def _measure(folder: Path, arm: Arm, unseen: Batch, seed: int) -> None:
    """Of the folder's model."""
    model, _ = checkpoint.load(folder / MODEL)
    found = measured(model.eval(), unseen, arm.walk, LONGEST, seed)
    fresh = folder / (MEASURES + ".new")
    try:
        fresh.write_text(json.dumps(found.to_dict()))
        fresh.replace(folder / MEASURES)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}") from error


def _gathered(folder: Path, config: AblationConfig, arms: tuple[Arm, ...], seeds: int, finished: bool) -> Ablation:
    """What all sessions have measured of these arms and seeds."""
    results: dict[str, dict[int, Measures]] = {}
    if (folder / BEGIN / MEASURES).is_file():
        results[BEGINNING] = {0: _read(folder / BEGIN / MEASURES)}
    for arm in arms:
        for seed in range(seeds):
            path = folder / f"seed-{seed}" / arm.name / MEASURES
            if path.is_file():
                results.setdefault(arm.name, {})[seed] = _read(path)
    return Ablation(asdict(config), results, verdicts(results), finished)


def _read(path: Path) -> Measures:
    try:
        return Measures.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} cannot be read: {error}; delete it and run the same command") from error
