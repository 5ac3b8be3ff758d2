"""One stream of a large generator, four video frames a step.

A step is one static-shaped program: condition → generator → ring write → decode → uint8, run as it is on a CPU and
captured as CUDA graphs on a GPU. `config` says how, `memory` whether it fits, `weights` loads, `feed` uploads what is
new, `ring` is what attention remembers, `attention` the kernel it takes, `fp8` fewer bits, `sequence` several devices
for one stream, `step` the computation, `program` its graphs and streams, `stream` what callers use. `shifting` is the
common layout of others, `ceilings` what the device can do at best: both to be measured against.
"""
