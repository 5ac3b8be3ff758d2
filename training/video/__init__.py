"""Public video generators as students of the same stages: whole pictures, four frames a latent, a frozen video codec.

`student` is who learns, `lesson` what it is shown, `lora` and `recompute` make it fit, `memory` says whether it does,
`begin` reads and `files` writes what a run is made of, `text` makes the embedding that stands for the prompt.
"""
