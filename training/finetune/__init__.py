"""A trained model learns one person from a clip or two.

`heldout` keeps the last part of each clip for a test, `comparison` makes that test before and after, `finetuning` does
all of it.
"""
