"""Ratchets: what the architecture promises and nobody would notice losing."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import avatar_client
import pytest

import avatar_sdk

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (ROOT / "avatar_sdk", ROOT / "clients/python/avatar_client")
LONGEST_FILE = 400

ORDER = (
    ("topology", "machine", "progress"),
    ("motion", "encode", "pacing", "badge"),
    ("portrait",),
    ("warp",),
    ("model",),
    ("importers",),
    ("runtime",),
    ("engine",),
    ("session", "ahead", "sheet", "sound"),
    ("server", "video", "driver"),
    ("timeline", "local_server", "pose_feed"),
    ("animate", "webcam", "bench", "doctor", "demo"),
    ("cli",),
)
"""Parts of avatar_sdk; each imports only parts above it."""
ISOLATED = {"encode", "pacing", "topology", "badge"}
"""Parts that see no other part."""
ONLY_IN = {
    "torch": ("avatar_sdk/model/", "avatar_sdk/importers/", "avatar_sdk/runtime/torch"),
    "onnx": ("avatar_sdk/model/",),
    "onnxruntime": ("avatar_sdk/runtime/", "avatar_sdk/doctor"),
    "mediapipe": ("avatar_client/tracking", "avatar_sdk/portrait/"),
    "grpc": (
        "avatar_sdk/server/",
        "avatar_sdk/bench/web",
        *(f"avatar_client/{name}" for name in ("client", "runner", "transport", "wire", "_gen/")),
    ),
    "starlette": ("avatar_sdk/server/web/",),
    "uvicorn": ("avatar_sdk/server/web/",),
    "websockets": ("avatar_sdk/bench/web",),
    "jax": (),
}
INSIDE_FUNCTIONS = {"mediapipe"}
"""Imported only when used, for it takes seconds and is optional."""


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Every source file of both packages, parsed."""
    files = (path for folder in SOURCES for path in sorted(folder.rglob("*.py")))
    return tuple((path, ast.parse(path.read_text())) for path in files)


def name_of(path: Path) -> str:
    """Path below the folder that holds its package."""
    for folder in SOURCES:
        if path.is_relative_to(folder):
            return path.relative_to(folder.parent).as_posix()
    raise AssertionError(path)


def imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """(absolute module name, whether it is imported when the file is) of every import, but those for types only."""

    def visit(node: ast.AST, at_import: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((f"{node.module}.{alias.name}", at_import) for alias in node.names)
        inside = at_import and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(tree, True)


def part(module: str) -> str:
    """`avatar_sdk.motion.rigid` → `motion`."""
    return module.split(".")[1]


def test_parts_import_only_what_comes_before_them() -> None:
    rank = {name: i for i, names in enumerate(ORDER) for name in names}
    wrong = []
    for path, tree in modules():
        if not path.is_relative_to(ROOT / "avatar_sdk") or path == ROOT / "avatar_sdk/__init__.py":
            continue
        own = path.relative_to(ROOT / "avatar_sdk").parts[0].removesuffix(".py")
        assert own in rank, f"{own} is a new part: give it a place in ORDER, and in docs/design.md"
        for module, _ in imports(tree):
            if not module.startswith("avatar_sdk.") or module == "avatar_sdk.__version__" or part(module) == own:
                continue
            other = part(module)
            if rank[other] >= rank[own] or own in ISOLATED:
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong


def test_the_client_knows_nothing_of_the_engine_and_the_product_nothing_of_training() -> None:
    forbidden = {"avatar_client": ("avatar_sdk", "training"), "avatar_sdk": ("training",)}
    wrong = [
        f"{name_of(path)} imports {module}"
        for path, tree in modules()
        for module, _ in imports(tree)
        if module.split(".")[0] in forbidden[name_of(path).split("/")[0]]
    ]
    assert not wrong


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_heavy_packages_stay_where_they_belong(package: str) -> None:
    wrong = []
    for path, tree in modules():
        name = name_of(path)
        for module, at_import in imports(tree):
            if module.split(".")[0] != package:
                continue
            if not any(place in name for place in ONLY_IN[package]):
                wrong.append(f"{name} imports {package}")
            elif at_import and package in INSIDE_FUNCTIONS:
                wrong.append(f"{name} imports {package} outside functions")
    assert not wrong


def test_help_is_quick_because_nothing_heavy_is_imported_for_it() -> None:
    heavy = "cv2 mediapipe torch onnxruntime numba scipy av grpc numpy starlette uvicorn"
    code = f"import sys, avatar_sdk.cli; print(*[name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    folders = [*SOURCES, *(ROOT / name for name in ("tests", "tools", "samples", "training"))]
    too_long = {}
    for path in (path for folder in folders for path in folder.rglob("*.py") if "_gen" not in path.parts):
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_FILE:
            too_long[path.relative_to(ROOT).as_posix()] = lines
    assert not too_long


def test_generated_protocol_code_is_current() -> None:
    pytest.importorskip("grpc_tools", reason="needs the dev extra")
    check = [sys.executable, "-W", "ignore", str(ROOT / "tools/generate_protos.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_is_one_version() -> None:
    assert avatar_sdk.__version__ == avatar_client.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", avatar_sdk.__version__)
    assigned = [name_of(path) for path, _ in modules() if re.search(r"^__version__ *=", path.read_text(), re.M)]
    assert assigned == ["avatar_client/_version.py"]
    for manifest in (ROOT / "pyproject.toml", ROOT / "clients/python/pyproject.toml"):
        text = manifest.read_text()
        assert 'dynamic = ["version"]' in text
        assert "_version.py" in text


def test_exported_names_exist_and_are_sorted() -> None:
    def rank(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    for path, tree in modules():
        listed = [node.value for node in tree.body if isinstance(node, ast.Assign) and _assigns(node, "__all__")]
        if not listed or "model" in path.parts:  # model/ needs torch
            continue
        names = ast.literal_eval(listed[0])
        assert names == sorted(names, key=rank), name_of(path)
        module = importlib.import_module(name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        missing = [name for name in names if not hasattr(module, name)]
        assert not missing, name_of(path)


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def test_no_file_names_a_package_registry_or_a_folder_of_some_machine() -> None:
    hosts = [("py", "pi.org"), ("python", "hosted.org"), ("download.py", "torch.org"), ("registry.npm", "js.org")]
    folders = [("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/"), ("/Us", "ers/")]
    pattern = re.compile("|".join(re.escape("".join(parts)) for parts in hosts + folders))
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("needs a git checkout to know which files belong to the project")
    found = []
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and (match := pattern.search(path.read_bytes().decode(errors="ignore"))):
            found.append(f"{name}: {match[0]}")
    assert not found
