"""The whole evaluation of a model on a set of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from avatar_client.errors import AvatarError
from rich.console import Console

from avatar_sdk.model.checkpoint import WEIGHTS
from avatar_sdk.portrait import FRAMINGS, PortraitConfig, PortraitReader, load_portrait
from avatar_sdk.progress import progress
from avatar_sdk.runtime import ASSETS, SHIPPED, TORCH
from avatar_sdk.runtime.protocol import Runtime
from training.errors import DataError
from training.evaluate import report
from training.evaluate.drift import Drift, DriftConfig, drift
from training.evaluate.landmarks import LandmarkFinder
from training.evaluate.plots import plot_drift, plot_over_time
from training.evaluate.reel import Landmarks, Reel, read_reel
from training.evaluate.reenactment import Reenactment, reenact
from training.evaluate.sheets import cross_sheet, save_sheet, stacked
from training.evaluate.stillness import StillnessConfig, jitter
from training.evaluate.systems import BASELINES, MODEL, NO_CACHE, NO_RECYCLE, PAINTED, STATIC, WARP, systems
from training.evaluate.verdicts import JITTER, Verdict, means_of, stability_lines, verdicts


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured.

    Attributes:
        model: as `--model` of the product takes it, or a checkpoint.
        step: every so many frames are measured.
        seconds: only the beginning of each clip.
        framing: field of view in face sizes.
        landmarks: what drives: MediaPipe's, or exact ones beside the videos.
        memory: whether the model is also run without recycled frame, without cache, without generator.
        size_px: side of the avatar's picture.
        stillness: how jitter before a still driver is measured; None = not.
        drift: how long drift is looked for; None = not.
        portraits: somebody else's, for cross-reenactment sheets.
    """

    model: str = "lite"
    step: int = 3
    seconds: float | None = None
    framing: float = FRAMINGS["face"]
    landmarks: Landmarks = "detected"
    memory: bool = True
    size_px: int = 512
    stillness: StillnessConfig | None = field(default_factory=StillnessConfig)
    drift: DriftConfig | None = None
    portraits: Sequence[Path] = field(default_factory=tuple)


def weights_of(model: str) -> Path | None:
    """The checkpoint behind a model, if there is one."""
    name = model.removeprefix(TORCH)
    path = ASSETS / name if name in SHIPPED else Path(name)
    path = path / WEIGHTS if path.is_dir() else path
    return path if path.is_file() else None


def evaluate(clips: Sequence[Path], out: Path, config: EvaluationConfig, console: Console) -> list[Verdict]:
    """Measures, prints, and leaves tables, plots and sheets in `out`.

    A clip that cannot be used is reported and left out.

    Raises:
        DataError: no clip can be used, or `out` cannot be written.
        InvalidConfigError: the model cannot be used.
        InvalidPortraitError: one of the portraits cannot be used.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {out} cannot be made: {error.strerror}") from error
    makers = systems(config.model, weights_of(config.model) if config.memory else None)
    runtimes = {name: make() for name, make in makers.items()}
    reels = _read(clips, config, console)
    done: list[Reenactment] = []
    with LandmarkFinder() as find:
        still: dict[str, dict[str, float]] = {}
        for reel in reels:
            with progress(reel.name, len(reel)) as bar:
                done.append(reenact(reel, runtimes, find, config.step, bar))
            save_sheet(done[-1].sheet, out / f"{reel.name}.png")
            if config.stillness:
                moving = {name: one for name, one in runtimes.items() if name != STATIC}
                still[reel.name] = jitter(reel, moving, find, config.stillness)
        means = means_of(done)
        for clip, values in still.items():
            for name, value in values.items():
                means[clip][name][JITTER] = value
        plot_over_time(done, out / "over_time.png")
        title = f"{config.model} on {len(reels)} clips, landmarks {config.landmarks}"
        report.print_means(console, means, title)
        report.print_clips(console, means, MODEL, PAINTED)
        lines = verdicts(means) + stability_lines(means)
        report.print_verdicts(console, lines, title)
        content = {
            "config": {**asdict(config), "portraits": [str(path) for path in config.portraits]},
            "means": means,
            "verdicts": [asdict(line) for line in lines],
        }
        drifts = _drifts(reels, runtimes[MODEL], find, config.drift, out, console) if config.drift else {}
        content["drift"] = {name: asdict(one) for name, one in drifts.items()}
    report.save(out / "evaluation.json", content)
    _cross(reels, runtimes, config, out, console)
    console.print(f"{out}: evaluation.json, over_time.png and a sheet per clip")
    return lines


def _read(clips: Sequence[Path], config: EvaluationConfig, console: Console) -> list[Reel]:
    reels, portrait = [], _portrait_config(config)
    with PortraitReader() as reader:
        for path in clips:
            try:
                reels.append(read_reel(path, portrait, config.landmarks, config.seconds, reader))
            except AvatarError as error:
                console.print(f"left out: {error}", style="yellow")
    if not reels:
        raise DataError(f"none of the {len(clips)} clips can be used; the reasons stand above")
    return reels


def _drifts(
    reels: Sequence[Reel], runtime: Runtime, find: LandmarkFinder, config: DriftConfig, out: Path, console: Console
) -> Mapping[str, Drift]:
    found = {}
    for reel in reels:
        with progress(f"{reel.name}, drift", config.frames) as bar:
            found[reel.name] = drift(reel, runtime, find, config, bar)
    plot_drift(found, out / "drift.png")
    report.print_drift(console, found, config.frames)
    return found


def _cross(
    reels: Sequence[Reel], runtimes: Mapping[str, Runtime], config: EvaluationConfig, out: Path, console: Console
) -> None:
    """One sheet per portrait, all drivers below each other."""
    shown = {name: runtimes[name] for name in runtimes if name not in (STATIC, WARP, NO_RECYCLE, NO_CACHE)}
    assert BASELINES[-1] in shown
    with PortraitReader() as reader:
        for path in config.portraits:
            portrait = load_portrait(path, _portrait_config(config), reader)
            rows = []
            with progress(f"{path.stem} by others", len(reels)) as bar:
                for count, reel in enumerate(reels, 1):
                    rows.append(cross_sheet(portrait, reel, shown))
                    bar(count)
            save_sheet(stacked(rows), out / f"cross_{path.stem}.png")
            console.print(f"{out / f'cross_{path.stem}.png'}: {path.name} moved by every clip")


def _portrait_config(config: EvaluationConfig) -> PortraitConfig:
    return PortraitConfig(width_px=config.size_px, height_px=config.size_px, framing=config.framing)
