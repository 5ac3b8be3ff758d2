"""Streaming video codecs of the GPU tier: four frames are one latent, the first frame of a stream is one alone.

`config` says which and how large (needs no torch), `streaming` is what all of them promise, `wan_vae`, `taehv`, `light`
and `stem` are the networks, `causal` and `causal_decoder` what two of them are made of, `build` makes a codec by its
config.
"""
