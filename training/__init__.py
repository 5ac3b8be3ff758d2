"""Turns a video generator into a live avatar: data, the stages of training, and what measures them.

`heads` renders people who do not exist, `data` stores clips and reads them back, `stages` train a model on them,
`evaluate` measures it. Run as `python -m training COMMAND`.
"""
