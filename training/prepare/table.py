"""What was kept of every video and why not the rest, on the terminal."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from training.prepare.record import Report, VideoRecord


def print_report(console: Console, report: Report) -> None:
    """One row per video, and one for all; below, what is no video at all."""
    table = Table(
        Column("video", overflow="fold"),
        Column("kept", justify="right", no_wrap=True),
        Column("clips", justify="right", no_wrap=True),
        Column("left out: frames, reason", no_wrap=True),
        Column("remark", overflow="fold"),
    )
    for one in report.videos.values():
        table.add_row(*_cells(one), style="" if one.clips else "yellow")
    if len(report.videos) > 1:
        videos = report.videos.values()
        frames, kept = sum(one.frames for one in videos), sum(one.kept for one in videos)
        total: Counter[str] = sum((one.dropped for one in videos), Counter())
        clips = sum(one.clips for one in videos)
        table.add_section()
        table.add_row("together", f"{kept} of {frames}", str(clips), _reasons(total), "")
    console.print(table)
    for problem in report.problems:
        console.print(f"left out: {escape(problem)}", style="yellow", highlight=False)


def _cells(one: VideoRecord) -> tuple[str, ...]:
    name = one.path.rpartition("/")[2]
    cuts = f"; {len(one.cuts_s)} cuts" if one.cuts_s else ""
    picture = f"\n{one.width_px}×{one.height_px}, {one.fps:.4g}/s{cuts}" if one.width_px else ""
    kept = f"{one.kept} of {one.frames}"
    return escape(name + picture), kept, str(one.clips), _reasons(one.dropped), escape(one.remark)


def _reasons(dropped: Counter[str]) -> str:
    return "\n".join(f"{count} {reason}" for reason, count in dropped.most_common())
