"""Where a step runs: `onnx` (embedded default), `torch` (GPU; parity reference), `warp` (no network)."""
