"""Public checkpoints become ours.

`layout` is what one looks like, `wan` says it for Wan's transformers, `registry` has all; `shards` reads, `conversion`
checks and writes.
"""
