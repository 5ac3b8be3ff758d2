"""Weights and streams of the generator; torch is imported only here and in `runtime.torch`.

`presets` sizes it, `cache` remembers, `layers` attend, `generator` predicts latents, `conditioner` reads the warp,
`codec` turns latents into pictures, `avatar` is all of them, `checkpoint` stores, `graphs` and `export` write what runs
without torch. `video_presets` has the sizes of the GPU tier. Presets, `inputs` and reading a checkpoint need numpy only.
"""
