"""Generates the Python protocol code; `--check` fails when the committed code is out of date.

python tools/generate_protos.py [--check]
"""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "protos/avatar/v1/avatar.proto"
TARGET = ROOT / "clients/python/avatar_client/_gen"
NAMES = ("avatar_pb2.py", "avatar_pb2.pyi", "avatar_pb2_grpc.py")


def generate(target: Path) -> None:
    """Writes the generated modules into `target`."""
    from grpc_tools import protoc

    well_known = files("grpc_tools") / "_proto"
    failed = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO.parent}",
            f"--proto_path={well_known}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            str(PROTO),
        ]
    )
    if failed:
        raise SystemExit(f"protoc failed with {failed}")
    stub = target / "avatar_pb2_grpc.py"
    # protoc writes absolute imports; the code lives inside a package.
    stub.write_text(
        stub.read_text().replace("import avatar_pb2 as avatar__pb2", "from . import avatar_pb2 as avatar__pb2")
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed code instead of writing")
    check = parser.parse_args().check
    if not check:
        TARGET.mkdir(exist_ok=True)
        (TARGET / "__init__.py").write_text('"""Generated from protos/avatar/v1/avatar.proto; do not edit."""\n')
        generate(TARGET)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = [name for name in NAMES if not filecmp.cmp(Path(folder) / name, TARGET / name, shallow=False)]
    if stale:
        sys.exit(f"generated code is out of date: {', '.join(stale)}; run `make protos` and commit")


if __name__ == "__main__":
    main()
