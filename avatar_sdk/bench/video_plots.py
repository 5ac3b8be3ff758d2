"""A large generator's figures as a picture: frames a second over the window, and the roofline."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from avatar_client.errors import InvalidVideoError, MissingDependencyError

from avatar_sdk.bench.video import FPS, best_by_size

if TYPE_CHECKING:
    from avatar_sdk.bench.video import VideoBench


def check_plots() -> None:
    """Refuses to plot without what plots.

    Raises:
        MissingDependencyError: names the extra to install.
    """
    if not find_spec("matplotlib"):
        raise MissingDependencyError("matplotlib is not installed; install avatar-sdk[train], or leave --plot out")


def plot_video(bench: VideoBench, path: Path) -> None:
    """Writes the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        InvalidVideoError: the file cannot be written.
    """
    check_plots()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    speed, roof = figure.subplots(1, 2)
    for name, points in best_by_size(bench.rows).items():
        speed.plot(*zip(*points, strict=True), marker="o", label=name)
    speed.axhline(FPS, color="grey", linestyle="--", label=f"{FPS} fps")
    speed.set(xlabel="window, latents", ylabel="frames a second, decoded, on the host", ylim=(0, None))
    peak, rate = bench.ceilings["product_tflops"] or 0.0, bench.ceilings["copy_gb_per_s"] or 0.0
    reach = [row.work["intensity"] for row in bench.rows]
    low, high = min([*reach, 1e3 * peak / rate]) / 4, max([*reach, 1e3 * peak / rate]) * 4
    knee = 1e3 * peak / rate
    roof.loglog([low, knee, high], [low * rate / 1e3, peak, peak], color="black", label="measured ceilings")
    for row in bench.rows:
        label = f"{row.width_px}×{row.height_px}, window {row.window}"
        roof.loglog(row.work["intensity"], row.tflops["generator"], "o", label=label)
    roof.set(xlabel="operations per byte that must be read", ylabel="TFLOP/s of the generator")
    for axes in (speed, roof):
        axes.legend(fontsize="small")
    figure.suptitle(f"{bench.config.preset}, {bench.weights} weights, {bench.device}", fontsize="medium")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:  # ValueError: no such format
        raise InvalidVideoError(f"the plot {path} cannot be written: {error}") from error
