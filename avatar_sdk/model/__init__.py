"""Weights and streams of the generator; torch is imported only here, in `importers` and `runtime.torch`.

`presets` sizes it, `video_presets` the GPU tier; `cache` remembers, `layers` attend, `generator` predicts latents,
`conditioner` reads the warp, `codec` turns latents into pictures, `avatar` is all of them, `checkpoint` stores, and
`graphs` and `export` write what runs without torch. Presets, `inputs` and reading a checkpoint need numpy only.
"""
