"""Exports a checkpoint, tries every variant of its graphs, and keeps those that are faster and no worse."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from avatar_client.errors import InvalidConfigError

from avatar_sdk.model import checkpoint
from avatar_sdk.model.export import export
from avatar_sdk.runtime.onnx_network import GRAPHS, OnnxNetwork
from training.data import Clip
from training.errors import ParityError
from training.export.player import Step, guides, mouth_psnr_db, play, play_modules
from training.export.variants import VARIANTS, copied

PARITY: Final = 1e-3
REPORT: Final = "export.json"


@dataclass(frozen=True)
class ExportConfig:
    """When a variant is kept.

    Attributes:
        rounds: how often every variant runs over the judged clip, in turn; medians are compared.
        time_share: a variant must need at most this share of the plain graph's time.
        loss_db: and cost less of the mouth's PSNR than this.
        only: names of the variants to try; None = all.
    """

    rounds: int = 3
    time_share: float = 0.95
    loss_db: float = 0.1
    only: Sequence[str] | None = None


@dataclass(frozen=True)
class Trial:
    """One variant against the plain graphs.

    Attributes:
        name: of the variant.
        graph: it changes.
        time_ms, plain_ms: median of one frame in that graph, of both, measured in turn.
        loss_db: PSNR of mouth and lips that it costs.
        kept: whether it is what was exported.
        reason: why not, else "".
    """

    name: str
    graph: str
    time_ms: float
    plain_ms: float
    loss_db: float
    kept: bool
    reason: str


@dataclass(frozen=True)
class Exported:
    """What an export has found.

    Attributes:
        parity: largest difference of latents and of residuals from PyTorch, float32.
        trials: in the order in which they were made; each builds on those kept before it.
    """

    parity: dict[str, float]
    trials: list[Trial]


def export_measured(
    source: Path, folder: Path, clips: Sequence[Clip], config: ExportConfig = ExportConfig()
) -> Exported:
    """Writes the graphs of `source` into `folder`, with a report.

    Args:
        source: a checkpoint.
        folder: what `avatar serve --model` takes; only written once everything has been measured.
        clips: the last is judged and timed, the others calibrate; without any, only plain graphs are written.
        config: when a variant is kept.

    Raises:
        InvalidConfigError: the checkpoint cannot be used, or there is no such variant.
        ParityError: the graphs do not compute what PyTorch computes.
    """
    if unknown := sorted(set(config.only or ()) - set(VARIANTS)):
        raise InvalidConfigError(f"there is no variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
    with tempfile.TemporaryDirectory() as scratch:
        best = Path(scratch) / "plain"
        export(source, best)
        if not clips:
            _publish(best, folder, Exported({}, []))
            return Exported({}, [])
        model, _ = checkpoint.load(source)
        judged, others = clips[-1], clips[:-1] or clips
        parity = _parity(play_modules(model, judged), list(play(OnnxNetwork(best), judged)))
        trials = []
        for name, (graph, rewrite) in VARIANTS.items():
            if config.only is not None and name not in config.only:
                continue
            tried = copied(best, Path(scratch) / name.replace(" ", "_"))
            rewrite(tried, model, others)
            trials.append(_trial(name, graph, best, tried, judged, config))
            if trials[-1].kept:
                best = tried
        done = Exported(parity, trials)
        _publish(best, folder, done)
    return done


def _parity(wanted: list[Step], got: list[Step]) -> dict[str, float]:
    pairs = list(zip(wanted, got, strict=True))
    parity = {
        "latent": float(max(np.abs(a.latent - b.latent).max() for a, b in pairs)),
        "residual": float(max(np.abs(a.residual - b.residual).max() for a, b in pairs)),
    }
    for name, apart in parity.items():
        if not apart <= PARITY:
            raise ParityError(
                f"the exported {name} is {apart:.2e} away from PyTorch's over {len(pairs)} frames; at most {PARITY} is "
                "allowed. Report it with the versions of torch and onnxruntime"
            )
    return parity


def _trial(name: str, graph: str, plain: Path, tried: Path, clip: Clip, config: ExportConfig) -> Trial:
    networks = OnnxNetwork(plain), OnnxNetwork(tried)
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(config.rounds):
        for network, times in zip(networks, spent, strict=True):
            times += _times_ms(network, clip, graph)
    plain_ms, time_ms = (float(np.median(times)) for times in spent)
    before, after = (mouth_psnr_db(clip, list(play(network, clip))) for network in networks)
    loss_db = before - after
    reason = ""
    if time_ms > config.time_share * plain_ms:
        reason = f"not faster than {config.time_share:g} × plain"
    elif loss_db >= config.loss_db:
        reason = f"costs {loss_db:.2f} dB"
    return Trial(name, graph, time_ms, plain_ms, loss_db, not reason, reason)


def _times_ms(network: OnnxNetwork, clip: Clip, graph: str) -> list[float]:
    state, times = network.start(clip.reference[None]), []
    for guide in guides(clip):
        started = time.perf_counter()
        latent = network.latent(state, guide)
        between = time.perf_counter()
        network.residual(state, guide, latent)
        done = time.perf_counter()
        times.append(1000 * (between - started if graph == "generator" else done - between))
    return times[len(times) // 4 :]


def _publish(best: Path, folder: Path, done: Exported) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (checkpoint.WEIGHTS, checkpoint.INDEX, *(f"{graph}.onnx" for graph in GRAPHS)):
        shutil.copyfile(best / name, folder / name)
    if done.trials:
        (folder / REPORT).write_text(json.dumps(asdict(done), indent=1) + "\n")
