"""From a checkpoint to the graphs that serve: every faster way of running them is tried, measured, and kept or not.

`player` runs an exported folder over clips, `variants` are the ways, `trial` measures and chooses.
"""
