"""A TensorFlow Lite graph as a PyTorch module, with gradients to what goes in.

N rows, C channels, H rows, W columns. Only what MediaPipe's face networks are made of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tflite
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from training.errors import DataError

NUMBERS: Final = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}
NAMES: Final = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
OPTIONS: Final = {
    "CONV_2D": tflite.Conv2DOptions,
    "DEPTHWISE_CONV_2D": tflite.DepthwiseConv2DOptions,
    "MAX_POOL_2D": tflite.Pool2DOptions,
}


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator.

    Attributes:
        kind: its built-in name, or the name of a custom one.
        inputs: names of tensors.
        output: name of its first output.
        options: table of its attributes; the raw bytes of a custom operator's.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    options: Any


class TfliteGraph(nn.Module):
    """Runs any part of a graph. Its weights do not learn; pictures are (N, C, H, W)."""

    def __init__(self, path: Path) -> None:
        """Reads a file.

        Raises:
            DataError: it cannot be read.
        """
        super().__init__()
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        if not tflite.Model.ModelBufferHasIdentifier(data, 0, size_prefixed=False):
            raise DataError(f"{path} is no TensorFlow Lite model")
        model = tflite.Model.GetRootAsModel(data, 0)
        graph = model.Subgraphs(0)
        tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
        names = [tensor.Name().decode() for tensor in tensors]
        self.operators = [_operator(model, graph.Operators(i), names) for i in range(graph.OperatorsLength())]
        stored = {name: _values(model, tensor) for name, tensor in zip(names, tensors, strict=True)}
        self._halves = {op.output: op.inputs[0] for op in self.operators if op.kind == "DEQUANTIZE"}
        self._makers = {op.output: op for op in self.operators if op.kind != "DEQUANTIZE"}
        self._buffer_names = {}
        for name, values in stored.items():
            if values is not None and values.dtype != np.int32:
                buffer = "weights_" + re.sub(r"\W", "_", name)
                self._buffer_names[name] = buffer
                self.register_buffer(buffer, torch.from_numpy(values.astype(np.float32)))
        self._paddings = {name: v for name, v in stored.items() if v is not None and v.dtype == np.int32}

    def forward(self, given: Mapping[str, Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """The wanted tensors; nothing before a given one is run."""
        known = dict(given)
        for name in wanted:
            self._reach(name, known)
        return [known[name] for name in wanted]

    def constant(self, name: str) -> Tensor:
        """A stored tensor by its name, or by that of its dequantised copy."""
        return torch.as_tensor(getattr(self, self._buffer_names[self._halves.get(name, name)]))

    def _reach(self, wanted: str, known: dict[str, Tensor]) -> None:
        """Runs what `wanted` needs, without recursion: graphs are deep. Mutates `known`."""
        waiting = [wanted]
        while waiting:
            name = waiting[-1]
            if name in known:
                waiting.pop()
                continue
            operator = self._makers[name]
            missing = [x for x in _moving(operator) if x not in known]
            if missing:
                waiting += missing
                continue
            known[name] = RUN[operator.kind](self, operator, [known[x] for x in _moving(operator)])

    def conv(self, operator: Operator, inputs: list[Tensor]) -> Tensor:
        """Convolution of either kind."""
        weight, bias = self.constant(operator.inputs[1]), self.constant(operator.inputs[2])
        x, options = inputs[0], operator.options
        stride = (options.StrideH(), options.StrideW())
        deep = operator.kind == "DEPTHWISE_CONV_2D"
        kernel = weight.permute(3, 0, 1, 2) if deep else weight.permute(0, 3, 1, 2)
        x = _padded(x, tuple(kernel.shape[-2:]), stride, options.Padding())
        return F.conv2d(x, kernel, bias, stride, groups=x.shape[1] if deep else 1)

    def prelu(self, operator: Operator, inputs: list[Tensor]) -> Tensor:
        """A slope per channel."""
        return F.prelu(inputs[0], self.constant(operator.inputs[1]).flatten())

    def pool(self, operator: Operator, inputs: list[Tensor]) -> Tensor:
        """Maximum."""
        options = operator.options
        size, stride = (options.FilterHeight(), options.FilterWidth()), (options.StrideH(), options.StrideW())
        return F.max_pool2d(_padded(inputs[0], size, stride, options.Padding()), size, stride)

    def pad(self, operator: Operator, inputs: list[Tensor]) -> Tensor:
        """Zeros around, or as more channels."""
        rows = self._paddings[operator.inputs[1]].tolist()
        _, (top, bottom), (left, right), (first, last) = rows
        return F.pad(inputs[0], (left, right, top, bottom, first, last))

    def add(self, _: Operator, inputs: list[Tensor]) -> Tensor:
        """Sum."""
        return inputs[0] + inputs[1]


RUN: Final[dict[str, Callable[[TfliteGraph, Operator, list[Tensor]], Tensor]]] = {
    "CONV_2D": TfliteGraph.conv,
    "DEPTHWISE_CONV_2D": TfliteGraph.conv,
    "PRELU": TfliteGraph.prelu,
    "MAX_POOL_2D": TfliteGraph.pool,
    "PAD": TfliteGraph.pad,
    "ADD": TfliteGraph.add,
}


def _moving(operator: Operator) -> tuple[str, ...]:
    """The inputs that depend on what goes in."""
    return operator.inputs if operator.kind == "ADD" else operator.inputs[:1]


def _padded(x: Tensor, size: tuple[int, ...], stride: tuple[int, int], padding: int) -> Tensor:
    """TensorFlow's SAME puts the odd row and column at the end."""
    if padding != tflite.Padding.SAME:
        return x
    extra = [max(0, (-(-side // s) - 1) * s + k - side) for side, k, s in zip(x.shape[-2:], size, stride, strict=True)]
    (top, bottom), (left, right) = ((e // 2, e - e // 2) for e in extra)
    return F.pad(x, (left, right, top, bottom)) if any(extra) else x


def _operator(model: Any, raw: Any, names: Sequence[str]) -> Operator:
    code = model.OperatorCodes(raw.OpcodeIndex())
    kind = NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    options: Any = None
    if kind == "CUSTOM":
        kind, options = code.CustomCode().decode(), bytes(raw.CustomOptionsAsNumpy())
    elif kind in OPTIONS:
        table = raw.BuiltinOptions()
        options = OPTIONS[kind]()
        options.Init(table.Bytes, table.Pos)
    inputs = tuple(names[i] for i in raw.InputsAsNumpy())
    return Operator(kind, inputs, names[raw.Outputs(0)], options)


def _values(model: Any, tensor: Any) -> NDArray[Any] | None:
    """A stored tensor's numbers; None = it is computed."""
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    if isinstance(data, int) or tensor.Type() not in NUMBERS:
        return None
    shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
    return np.frombuffer(data.tobytes(), NUMBERS[tensor.Type()]).reshape(shape)
