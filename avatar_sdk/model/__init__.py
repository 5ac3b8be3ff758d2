"""Weights and streams of the generator; torch is imported only here and in `runtime.torch`.

`presets` sizes it, `cache` remembers, `layers` attend, `generator` predicts latents, `conditioner` reads the warp,
`codec` turns latents into pictures, `avatar` is all of them, `checkpoint` stores, `graphs` and `export` write what runs
without torch; `video` holds the streaming codecs of the GPU tier. `presets`, `inputs`, `video.config` and reading a
checkpoint need numpy only.
"""
