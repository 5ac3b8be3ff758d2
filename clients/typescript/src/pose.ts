/**
 * What MediaPipe sees in one camera image, as a value that travels.
 *
 * Coordinates are in image widths: x and z as MediaPipe gives them, y multiplied by height/width. Origin top left,
 * y down, z negative towards the camera. Never mirrored: landmark 33 belongs to the subject's right eye.
 */
import { InvalidPoseError } from "./errors.js";

/** Numbers in a face: 468 mesh landmarks + 10 iris landmarks; x, y, z. */
export const FACE_LENGTH = 478 * 3;
/** Numbers in a body: 33 landmarks; x, y, z, visibility in [0, 1]. */
export const BODY_LENGTH = 33 * 4;
/** Numbers in hands: the subject's left, then the right; 21 landmarks each; x, y, z, NaN where a hand is absent. */
export const HANDS_LENGTH = 2 * 21 * 3;
/** Landmarks further than this many image widths from the origin are a fault, not a pose. */
export const COORDINATE_LIMIT = 8;

/** One observation of the driver. */
export interface Pose {
  /** Monotonic capture time, `monotonicUs()` for live poses. Must increase. Unit: microseconds. */
  timestampUs: number;
  /** 478 × 3, row-major, image widths; null = no face in this image. */
  face: Float32Array | null;
  /** Range: [0, 1]. Default: 1 with a face, 0 without. */
  faceConfidence?: number;
  /** 33 × 4, row-major, x, y, z in image widths + visibility; absent = not tracked. */
  body?: Float32Array | null;
  /** 2 × 21 × 3, row-major, image widths; absent = not tracked. */
  hands?: Float32Array | null;
}

/** A landmark as MediaPipe gives it: x in image widths, y in image heights, z in image widths. */
export interface Landmark {
  x: number;
  y: number;
  z: number;
}

/**
 * The pose of one image from MediaPipe's 478 face landmarks of it; null or an empty list = no face.
 *
 * @param width Width of the image. Unit: pixels.
 * @param height Height of the image. Unit: pixels.
 * @param timestampUs Monotonic capture time. Unit: microseconds.
 * @throws InvalidPoseError for another number of landmarks.
 */
export function poseFromLandmarks(
  landmarks: readonly Landmark[] | null | undefined,
  width: number,
  height: number,
  timestampUs: number,
): Pose {
  if (!landmarks || landmarks.length === 0) {
    return { timestampUs, face: null, faceConfidence: 0 };
  }
  if (landmarks.length * 3 !== FACE_LENGTH) {
    throw new InvalidPoseError(
      `the face has ${landmarks.length} landmarks; the service needs 478, so turn iris landmarks on (refineLandmarks)`,
      { field: "pose.face" },
    );
  }
  const face = new Float32Array(FACE_LENGTH);
  const aspect = height / width;
  landmarks.forEach(({ x, y, z }, index) => {
    face[3 * index] = x;
    // rounded first, as MediaPipe's own single precision is
    face[3 * index + 1] = Math.fround(y) * Math.fround(aspect);
    face[3 * index + 2] = z;
  });
  return { timestampUs, face, faceConfidence: 1 };
}

/**
 * Checks shapes and ranges.
 *
 * @throws InvalidPoseError naming the part at fault, its value and what was expected.
 */
export function checkPose(pose: Pose): void {
  const { timestampUs, faceConfidence } = pose;
  if (!Number.isSafeInteger(Math.round(timestampUs)) || timestampUs < 0) {
    throw new InvalidPoseError(`timestampUs is ${timestampUs}; it must be a non-negative number of microseconds`, {
      field: "pose.timestamp_us",
    });
  }
  if (faceConfidence !== undefined && !(faceConfidence >= 0 && faceConfidence <= 1)) {
    throw new InvalidPoseError(`faceConfidence is ${faceConfidence}; it must be in [0, 1]`, {
      field: "pose.face_confidence",
    });
  }
  check("face", pose.face, FACE_LENGTH, false);
  check("body", pose.body, BODY_LENGTH, false);
  check("hands", pose.hands, HANDS_LENGTH, true);
}

function check(part: string, values: Float32Array | null | undefined, length: number, mayBeNan: boolean): void {
  if (values === null || values === undefined) {
    return;
  }
  const field = `pose.${part}`;
  if (!(values instanceof Float32Array) || values.length !== length) {
    const given = values instanceof Float32Array ? `Float32Array(${values.length})` : typeof values;
    throw new InvalidPoseError(`${part} is ${given}; it must be Float32Array(${length})`, { field });
  }
  for (const value of values) {
    if (!(Math.abs(value) <= COORDINATE_LIMIT) && !(mayBeNan && Number.isNaN(value))) {
      throw new InvalidPoseError(
        `${part} holds ${value}; every coordinate must be finite and within ±${COORDINATE_LIMIT} image widths`,
        { field },
      );
    }
  }
}
