"""The stages of training, in order: codec, adapt, distill, adversarial."""
