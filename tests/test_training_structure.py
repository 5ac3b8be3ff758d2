"""Ratchets of the training module: what runs on a machine without MediaPipe, gRPC or a display."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TRAINING = ROOT / "training"
WITHOUT_TORCH = ("heads/", "pairs.py", "synthesize.py", "data/clip.py", "data/shards.py", "data/sheet.py", "prepare/")
FREE_OF = {
    "mediapipe": ("heads/statistics.py", "evaluate/landmarks.py"),
    "grpc": (),
    "onnxruntime": ("export/variants.py",),
}
"""Package → files that may import it, inside functions."""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def files() -> list[Path]:
    return sorted(TRAINING.rglob("*.py"))


@pytest.mark.parametrize("package", sorted(FREE_OF))
def test_training_runs_where_the_product_is_not_installed(package: str) -> None:
    names = {path.relative_to(TRAINING).as_posix() for path in files() if package in imports(path)}
    assert names <= set(FREE_OF[package])


def test_the_renderer_needs_no_torch() -> None:
    names = [path.relative_to(TRAINING).as_posix() for path in files() if "torch" in imports(path)]
    assert not [name for name in names if name.startswith(WITHOUT_TORCH)]


def test_help_of_the_training_commands_imports_nothing_heavy() -> None:
    heavy = "cv2 mediapipe torch onnxruntime numba scipy av grpc numpy matplotlib"
    code = f"import sys, training.cli; print(*[name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not done.stdout.strip()
