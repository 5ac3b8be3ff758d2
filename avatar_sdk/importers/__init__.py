"""Public checkpoints become ours."""
