"""What was kept of every video and why not the rest, on the terminal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from training.prepare.record import Report, VideoRecord


def print_report(console: Console, report: Report) -> None:
    """One row per video, and one for all; below, remarks, and what is no video at all."""
    table = Table(
        Column("video", overflow="fold"),
        Column("kept", justify="right", no_wrap=True),
        Column("clips", justify="right", no_wrap=True),
        Column("left out: frames, reason", no_wrap=True),
    )
    for one in report.videos.values():
        table.add_row(*_cells(one), style="" if one.clips else "yellow")
    if len(report.videos) > 1:
        videos = report.videos.values()
        frames, kept = sum(one.frames for one in videos), sum(one.kept for one in videos)
        total: Counter[str] = sum((one.dropped for one in videos), Counter())
        clips = sum(one.clips for one in videos)
        table.add_section()
        table.add_row("together", f"{kept} of {frames}", str(clips), _reasons(total))
    console.print(table)
    remarks = [f"{_name(one)}: {one.remark}" for one in report.videos.values() if one.remark]
    for line in (*remarks, *report.problems):
        console.print(escape(line), style="yellow", highlight=False, soft_wrap=True)


def _cells(one: VideoRecord) -> tuple[str, ...]:
    cuts = f"; cuts: {len(one.cuts_s)}" if one.cuts_s else ""
    picture = f"\n{one.width_px}×{one.height_px}, {one.fps:.4g}/s{cuts}" if one.width_px else ""
    kept = f"{one.kept} of {one.frames}"
    return escape(_name(one) + picture), kept, str(one.clips), _reasons(one.dropped)


def _name(one: VideoRecord) -> str:
    return Path(one.path).name


def _reasons(dropped: Counter[str]) -> str:
    return "\n".join(f"{count} {reason}" for reason, count in dropped.most_common())
