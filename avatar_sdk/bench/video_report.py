"""A large generator's figures in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avatar_sdk.bench.video import VideoRow


def ceilings_line(ceilings: dict[str, float | None], precision: str) -> str:
    """What the device can do at best."""
    fp8 = ceilings["fp8_tflops"]
    eight = f", in 8 bits {fp8:.0f}" if fp8 else ""
    return (
        f"ceilings, measured now: {precision} products {ceilings['product_tflops']:.3g} TFLOP/s{eight}; "
        f"copy {ceilings['copy_gb_per_s']:.3g} GB/s"
    )


def row_table(row: VideoRow) -> str:
    """One resolution and window."""
    start, work = row.start_ms, row.work
    lines = [
        f"  weights and memory {start['ready']:.0f} ms, graphs {start['captured']:.0f} ms, "
        f"first step {start['first_step']:.1f} ms; attention {row.attention['full']}"
        + "".join(f", {name} {spent:g} µs" for name, spent in row.attention["measured_us"].items()),
        f"  {'stage':<10} {'ms':>10} {'TFLOP':>9} {'TFLOP/s':>9}  of ceiling",
    ]
    for stage, spent in row.stages_ms.items():
        rate = f"{work[stage]:>9.3g} {row.tflops[stage]:>9.3g}  {row.share[stage]:>9.1%}" if stage in row.tflops else ""
        lines.append(f"  {stage:<10} {spent:>10.3f} {rate}".rstrip())
    held, counted = row.cache_bytes["held"], row.cache_bytes["arithmetic"]
    peak = "" if row.peak_mib is None else f", at most {row.peak_mib:.0f} MiB held in all"
    lines += [
        f"  floor of the generator: products {row.floor_ms['products']:.3g} ms, reads {row.floor_ms['reads']:.3g} ms",
        f"  without decode {row.without_decode['ms']:.2f} ms a latent, {row.without_decode['fps']:.1f} fps; "
        f"with decode, frames on the host {row.with_decode['ms']:.2f} ms, {row.with_decode['fps']:.1f} fps",
        f"  a step alone: first frame {row.latency_ms['first_frame_p50']:.2f} ms, "
        f"last p50 {row.latency_ms['p50']:.2f}, p95 {row.latency_ms['p95']:.2f} ms",
        f"  keys and values {held / 2**20:.2f} MiB, by arithmetic {counted / 2**20:.2f} ({held / counted - 1:+.1%})"
        + peak,
    ]
    if row.layout:
        lines.append(
            f"  generator: ring {row.layout['ring_ms']:.2f} ms; shift and clone {row.layout['shifting_once_ms']:.2f}, "
            f"with a clean pass {row.layout['shifting_ms']:.2f} ms: {row.layout['ratio']:.2f}×"
        )
    if row.fp8_error:
        error = row.fp8_error
        lines.append(
            f"  8 bits against {row.size.split(',')[0]} without: first latent {error['first']:.2%}, "
            f"latent {error['latents']} {error['last']:.2%}, last frame {error['grey_levels']:.2f} grey levels"
        )
    if row.positions:
        late = row.positions
        lines.append(
            f"  positions from {late['at_latent']:.0f} on (those before are not made): "
            f"{late['first_p50_ms']:.2f} → {late['last_p50_ms']:.2f} ms ({late['change']:+.1%}), "
            f"memory {late['cache_bytes_change']:+.0f} bytes"
        )
    return "\n".join(lines)
