"""The protocol keeps the lint rules of its trade, and its generated code is current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from avatar_client._gen import avatar_pb2
from avatar_client.errors import ERRORS_BY_REASON
from avatar_client.pose import BODY_SHAPE, FACE_SHAPE, HANDS_SHAPE
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "protos/avatar/v1/avatar.proto"
FILE = avatar_pb2.DESCRIPTOR
SERVICE = FILE.services_by_name["AvatarService"]
ENUMS: list[EnumDescriptor] = list(FILE.enum_types_by_name.values())
NUMERIC = {
    FieldDescriptor.CPPTYPE_FLOAT,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
}


def upper_snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def test_every_method_has_a_request_and_a_response_of_its_own_name() -> None:
    for method in SERVICE.methods:
        assert method.input_type.name == f"{method.name}Request"
        assert method.output_type.name == f"{method.name}Response"


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.name)
def test_enum_values_carry_their_enum_and_zero_means_unspecified(enum: EnumDescriptor) -> None:
    assert enum.values_by_number[0].name == f"{upper_snake(enum.name)}_UNSPECIFIED"
    assert all(value.name.startswith(upper_snake(enum.name) + "_") for value in enum.values)


def test_field_names_are_lower_snake_case_and_the_package_is_versioned() -> None:
    assert FILE.package == "avatar.v1"
    for message in FILE.message_types_by_name.values():
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", field.name) for field in message.fields)


def test_every_number_says_its_unit_range_default_or_meaning() -> None:
    """A numeric field has a comment above it, or shares the comment of the field directly above."""
    lines = PROTO.read_text().splitlines()
    bare = []
    for message in FILE.message_types_by_name.values():
        for field in message.fields:
            if field.cpp_type not in NUMERIC:
                continue
            pattern = re.compile(rf"^\s+(optional |repeated )?\w+ {field.name} = {field.number};")
            start = next(i for i, line in enumerate(lines) if line.startswith(f"message {message.name} "))
            row = next(i for i in range(start, len(lines)) if pattern.match(lines[i]))
            while row > start and not lines[row - 1].strip().startswith("//") and lines[row - 1].strip():
                row -= 1
            described = lines[row - 1].strip().startswith("//")
            if not described and not re.search(r"_(us|s|hz|px|bytes)$", field.name):
                bare.append(f"{message.name}.{field.name}")
    assert not bare


def test_shapes_in_the_protocol_are_those_of_the_client() -> None:
    text = PROTO.read_text()
    for shape in (FACE_SHAPE, BODY_SHAPE, HANDS_SHAPE):
        assert " × ".join(map(str, shape)) in text


def test_every_error_has_a_reason_of_its_own() -> None:
    assert len({cls.reason for cls in ERRORS_BY_REASON.values()}) == len(ERRORS_BY_REASON)
    assert all(ERRORS_BY_REASON[cls.reason] is cls for cls in ERRORS_BY_REASON.values())


def test_the_committed_generated_code_is_current() -> None:
    tool = ROOT / "tools/generate_protos.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
