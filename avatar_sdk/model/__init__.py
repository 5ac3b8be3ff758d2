"""Weights and streams of the generator; torch is imported only here and in `runtime.torch`."""
