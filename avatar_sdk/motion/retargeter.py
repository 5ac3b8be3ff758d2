"""From a stream of poses to a stream of driven faces."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from avatar_client.pose import Pose
from numpy.typing import NDArray

from avatar_sdk.motion import drive
from avatar_sdk.motion.calibration import Calibration, Reading
from avatar_sdk.motion.config import Gains, MotionConfig, MotionEvent, MotionSource, Neutral
from avatar_sdk.motion.idle import IdleMotion
from avatar_sdk.motion.measures import Measures
from avatar_sdk.motion.neutral import NeutralSearch
from avatar_sdk.motion.regions import part_weights
from avatar_sdk.motion.rigid import limit
from avatar_sdk.motion.shape import FaceShape
from avatar_sdk.motion.smoothing import OneEuroFilter
from avatar_sdk.motion.state import Motion, MotionState

Floats = NDArray[np.float32]

CALIBRATION_US = 1_000_000
"""How long poses are collected for a calibration on demand."""
SHOULDER_LANDMARKS = np.array([12, 11])
"""The subject's right and left shoulder among the body landmarks."""
SHOULDER_VISIBILITY = 0.5
FIRST_PLACE_S, PLACE_S = 1.0, 20.0
"""In automatic mode the driver's seat is averaged over the first, then followed with the second as time constant."""
MOUTH_BUSY = (0.012, 0.032)
"""Mouth motion up to which it is at rest, and from which on it is busy. Unit: face widths."""
MOUTH_ATTACK_S, MOUTH_RELEASE_S = 0.1, 1.0


class Retargeter:
    """Moves one portrait's landmarks as a driver moves theirs."""

    def __init__(self, landmarks: Floats, config: MotionConfig | None = None) -> None:
        """`landmarks` (478, 3): the portrait's, in output pixels."""
        self.portrait = FaceShape.of(landmarks.astype(np.float32))
        self._share, self._reach = part_weights(self.portrait.canonical, self.portrait.width)
        self.config = config or MotionConfig()

    @property
    def config(self) -> MotionConfig:
        """The configuration in force; a new one may be assigned at any time."""
        return self._config

    @config.setter
    def config(self, config: MotionConfig) -> None:
        self._config = config
        gains, smoothing = config.gains, config.smoothing
        self._gains = drive.per_part(
            self._share,
            head=gains.head,
            shoulders=gains.translation,
            travel=gains.translation,
            parts=(gains.eyes, gains.brows, gains.mouth),
        )
        self._idle = IdleMotion(self.portrait, config.seed) if config.idle else None
        self._filter = None
        if smoothing is not None:
            parts = (smoothing.eyes, smoothing.brows, smoothing.mouth)
            values = [
                drive.per_part(
                    self._share,
                    head=getattr(smoothing.head, name),
                    shoulders=getattr(smoothing.shoulders, name),
                    travel=getattr(smoothing.head, name),
                    parts=(getattr(parts[0], name), getattr(parts[1], name), getattr(parts[2], name)),
                )
                for name in ("min_cutoff_hz", "beta")
            ]
            self._filter = OneEuroFilter(*values)

    def set_gains(self, gains: Gains) -> None:
        """Follows parts of the motion more or less from the next step on."""
        self.config = replace(self._config, gains=gains)

    def start(self) -> MotionState:
        """A fresh stream."""
        return MotionState()

    def calibrate(self, state: MotionState) -> None:
        """Takes the driver's neutral pose from the next second of poses. Mutates `state` in place.

        `MotionEvent.CALIBRATED` says when it is done.
        """
        state.collected = []

    def set_neutral(self, state: MotionState, pose: Pose) -> None:
        """Makes `pose` the driver's neutral pose from now on. Mutates `state` in place."""
        state.search = None
        state.place[:] = 0
        state.neutral_mode = self._config.neutral
        state.neutral = pose.face
        state.neutral_body = pose.body
        state.calibration = None

    def step(self, state: MotionState, pose: Pose | None, time_us: int) -> Motion:
        """Motion of the frame at `time_us`. Mutates `state` in place.

        Args:
            state: of this stream.
            pose: the newest pose, or None when there is no new one.
            time_us: the frame's time on the session's clock; only differences matter.
        """
        source = MotionSource.POSE
        measures = self._admit(state, pose) if pose is not None and pose.face_present else None
        if pose is not None and measures is not None:
            self._follow(state, pose, measures, time_us)
        else:
            unseen_us = time_us - state.seen_us if state.seen_us is not None else math.inf
            held = state.idle_since_us is None and unseen_us <= 1000 * self._config.hold_ms
            source = MotionSource.HELD if held else MotionSource.IDLE
            if not held:
                self._rest(state, time_us)
        target = self._goal(state, time_us)
        if state.gains is not self._config.gains:
            if state.gains is not None:
                self._ease(state, state.shown - target, time_us)
            state.gains = self._config.gains
        state.shown = target + self._remaining(state, time_us)
        return self._motion(state, source)

    @staticmethod
    def _admit(state: MotionState, pose: Pose) -> Measures | None:
        """What can be measured on a pose, or None for one that cannot be true, which is counted."""
        measures = Measures.of(pose.face)
        if measures is not None and state.gate.accept(measures, pose.timestamp_us):
            return measures
        state.dropped_outliers += 1
        return None

    def _goal(self, state: MotionState, time_us: int) -> Floats:
        """Where the drive is heading: idle motion, or the driver's motion with gains."""
        if state.idle_since_us is not None:
            return self._idle.drive(time_us) if self._idle else drive.still()
        goal = state.target * self._gains
        calibration = state.calibration
        if calibration is not None and state.mouth_motion > MOUTH_BUSY[0]:
            busy = min((state.mouth_motion - MOUTH_BUSY[0]) / (MOUTH_BUSY[1] - MOUTH_BUSY[0]), 1.0)
            share = busy * busy * (3 - 2 * busy) * min(self._config.gains.mouth, 1.0)
            goal += np.float32(share) * calibration.relaxation
        return goal

    def _follow(self, state: MotionState, pose: Pose, measures: Measures, time_us: int) -> None:
        """Takes a new pose into the state."""
        returning = state.idle_since_us is not None or state.gate.relocated
        state.idle_since_us = None
        if state.face_lost:
            state.face_lost = False
            state.events.append(MotionEvent.FACE_FOUND)
        interval_s = (pose.timestamp_us - state.pose_us) / 1e6
        paused = not 0 < interval_s < 0.5
        before, body_before = state.calibration, state.neutral_body
        self._choose_neutral(state, pose, measures)
        calibration = self._calibration(state)
        reading = self._read(calibration, pose, state.neutral_body)
        if before is not None and before is not calibration and not returning and before.portrait is self.portrait:
            # The same pose means another drive now: the filter moves along, and the picture follows slowly.
            moved = reading.drive - self._read(before, pose, body_before).drive
            if state.search is not None and state.search.seen > 1:
                # What was found is a better expression, not a better seat; the search's first face is both.
                state.place += moved[drive.PLACEMENT]
                moved[drive.PLACEMENT] = 0
            if state.filter is not None:
                state.filter.value += moved
            self._ease(state, self._remaining(state, time_us) - moved * self._gains, time_us)
        if state.search is not None and self._config.neutral is Neutral.AUTO:
            self._settle(state, reading, 0.04 if paused else interval_s)
        reading.drive[drive.PLACEMENT] -= state.place
        if self._filter is None:
            state.filter = None
            state.target = reading.drive
        elif state.filter is None or paused or returning:
            state.filter = self._filter.start(reading.drive)
            state.target = state.filter.value
        else:
            state.target = self._filter.step(state.filter, reading.drive, interval_s)
        self._listen(state, reading, 0.04 if paused else interval_s)
        state.pose_us = pose.timestamp_us
        state.seen_us = time_us
        if returning and state.gains is not None:
            self._ease(state, state.shown - self._goal(state, time_us), time_us)

    @staticmethod
    def _settle(state: MotionState, reading: Reading, interval_s: float) -> None:
        """Learns where the driver usually sits, quickly at first, so that a moved chair is forgotten after a while."""
        state.place_s += interval_s
        share = interval_s / (state.place_s if state.place_s < FIRST_PLACE_S else PLACE_S)
        state.place += np.float32(share) * (reading.drive[drive.PLACEMENT] - state.place)

    def _rest(self, state: MotionState, time_us: int) -> None:
        """Nobody drives: idle, and say so after a while."""
        if state.seen_us is None:
            state.seen_us = time_us
        if state.idle_since_us is None:
            state.idle_since_us = time_us
            self._ease(state, state.shown - self._goal(state, time_us), time_us)
        if not state.face_lost and time_us - state.seen_us >= 1000 * self._config.face_lost_ms:
            state.face_lost = True
            state.events.append(MotionEvent.FACE_LOST)

    def _choose_neutral(self, state: MotionState, pose: Pose, measures: Measures) -> None:
        """Keeps the driver's neutral pose up to date."""
        if state.neutral_mode is not self._config.neutral:
            if state.neutral_mode is not None:
                state.search, state.neutral, state.neutral_body = NeutralSearch(), None, None
                state.place[:] = 0
            state.neutral_mode = self._config.neutral
        better = None
        if state.collected is not None:
            if not state.collected:
                state.collected_since_us = pose.timestamp_us
            state.collected.append(pose.face)
            if pose.timestamp_us - state.collected_since_us >= CALIBRATION_US:
                # The median leaves out a blink or a twitch.
                better = np.median(np.stack(state.collected), 0).astype(np.float32)
                state.collected = None
                state.search = None
                state.place[:] = 0
                state.events.append(MotionEvent.CALIBRATED)
        if better is None and self._config.neutral is Neutral.AUTO and state.search is not None:
            better = state.search.offer(pose.face, measures)
        if better is None and state.neutral is None:
            better = pose.face
        if better is not None:
            state.neutral = better
            state.calibration = None
            if state.search is None:
                state.neutral_body = pose.body
        if state.neutral_body is None:
            state.neutral_body = pose.body

    def _calibration(self, state: MotionState) -> Calibration:
        """The driver's neutral compared with this portrait, made anew when either changed."""
        calibration = state.calibration
        if calibration is None or calibration.portrait is not self.portrait:
            assert state.neutral is not None
            neutral = FaceShape.of(state.neutral)
            if self._config.neutral is Neutral.ABSOLUTE:
                size = neutral.width / self.portrait.width
                place = (neutral.neck - size * self.portrait.neck).astype(np.float32)
                neutral = FaceShape.of(self.portrait.landmarks * np.float32(size) + place)
            state.calibration = calibration = Calibration(self.portrait, neutral, self._share, self._reach)
        return calibration

    @staticmethod
    def _read(calibration: Calibration, pose: Pose, neutral_body: Floats | None) -> Reading:
        """What the face says, and the shoulders where both are seen."""
        reading = calibration.read(pose.face)
        if pose.body is not None and neutral_body is not None:
            now, neutral = pose.body[SHOULDER_LANDMARKS], neutral_body[SHOULDER_LANDMARKS]
            moved = (now[:, :2] - neutral[:, :2]) / np.float32(calibration.neutral.width)
            moved[np.minimum(now[:, 3], neutral[:, 3]) < SHOULDER_VISIBILITY] = 0
            reading.drive[drive.SHOULDERS] = moved.ravel()
        return reading

    @staticmethod
    def _listen(state: MotionState, reading: Reading, interval_s: float) -> None:
        """Follows how busy the mouth is: quickly up, slowly down."""
        time_s = MOUTH_ATTACK_S if reading.mouth_motion > state.mouth_motion else MOUTH_RELEASE_S
        state.mouth_motion += (reading.mouth_motion - state.mouth_motion) * (1 - math.exp(-interval_s / time_s))

    def _ease(self, state: MotionState, offset: Floats, time_us: int) -> None:
        """Starts to fade `offset` out, so that a change of goal never shows as a jump."""
        state.offset = offset
        state.offset_since_us = time_us

    def _remaining(self, state: MotionState, time_us: int) -> Floats | np.float32:
        """What is left of the offset at `time_us`."""
        if state.offset is None:
            return np.float32(0)
        done = (time_us - state.offset_since_us) / (1000 * self._config.ease_ms) if self._config.ease_ms > 0 else 1.0
        if done >= 1:
            state.offset = None
            return np.float32(0)
        done = max(done, 0.0)
        return state.offset * np.float32(1 - done * done * (3 - 2 * done))

    def _motion(self, state: MotionState, source: MotionSource) -> Motion:
        landmarks, scale, rotation, translation = drive.compose(state.shown, self.portrait)
        shoulders = None
        if state.neutral_body is not None:
            shoulders = np.array([limit(float(v), *drive.SHOULDER_LIMIT) for v in state.shown[drive.SHOULDERS]])
            shoulders = (shoulders * self.portrait.width).reshape(2, 2).astype(np.float32)
        return Motion(landmarks, scale, rotation.astype(np.float32), translation.astype(np.float32), shoulders, source)
