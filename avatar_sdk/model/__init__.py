"""Weights and streams of the generator; torch is imported only here, in `importers` and `runtime.torch`.

`presets` sizes it, `video_presets` the GPU tier; `cache` remembers, `layers` attend, `generator` predicts latents,
`conditioner` reads the warp, `codec` turns latents into pictures, `avatar` is all of them, `checkpoint` stores,
`graphs` and `export` write what runs without torch; `video` holds the streaming codecs of the GPU tier. Presets,
`inputs`, `video.config` and reading a checkpoint need numpy only.
"""
