"""What can go wrong in training and is not a bug.

TrainingError              base: a message with the way out
├── DataError                  clips or shards cannot be read or written
├── DivergedError              the loss is no longer a number
├── OutOfMemoryError           the device is too small; says what fits
└── RankError                  another process of several has failed
"""

from __future__ import annotations

from avatar_client.errors import AvatarError


class TrainingError(AvatarError):
    """Base of the errors of training."""

    reason = "TRAINING"
    code = "FAILED_PRECONDITION"


class DataError(TrainingError):
    """Clips or shards cannot be read or written."""


class DivergedError(TrainingError):
    """The loss is no longer a number; the last good checkpoint was kept."""


class OutOfMemoryError(TrainingError):
    """The device is too small for the settings."""


class RankError(TrainingError):
    """Another process of several has failed; this one cannot go on alone."""


class ParityError(TrainingError):
    """Exported graphs do not compute what the network computes."""
