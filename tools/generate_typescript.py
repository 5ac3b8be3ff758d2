"""Generates the TypeScript protocol code; `--check` fails when the committed code is out of date.

python tools/generate_typescript.py [--check]

Needs `npm ci`, which brings the generator; protoc is the one of grpcio-tools.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "clients/typescript"
PROTOS = (ROOT / "protos/avatar/v1/avatar.proto", CLIENT / "protos/errors.proto")
TARGET = CLIENT / "src/gen"
PLUGIN = ROOT / "node_modules/.bin/protoc-gen-es"
NAMES = ("avatar_pb.ts", "errors_pb.ts")


def generate(target: Path) -> None:
    """Writes the generated modules into `target`."""
    from grpc_tools import protoc

    if not PLUGIN.exists():
        raise SystemExit(f"{PLUGIN.name} is not installed; run `npm ci` in {ROOT}")
    failed = protoc.main(
        [
            "protoc",
            f"--plugin=protoc-gen-es={PLUGIN}",
            *(f"--proto_path={proto.parent}" for proto in PROTOS),
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--es_out={target}",
            "--es_opt=target=ts,import_extension=js",
            *map(str, PROTOS),
        ]
    )
    if failed:
        raise SystemExit(f"protoc failed with {failed}")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed code instead of writing")
    if not parser.parse_args().check:
        TARGET.mkdir(exist_ok=True)
        generate(TARGET)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = [name for name in NAMES if not same(Path(folder) / name, TARGET / name)]
    if stale:
        sys.exit(f"generated code is out of date: {', '.join(stale)}; run `make protos` and commit")


def same(made: Path, committed: Path) -> bool:
    """Whether the committed file exists and is what was made."""
    return committed.is_file() and filecmp.cmp(made, committed, shallow=False)


if __name__ == "__main__":
    main()
