/** What the server has told of a session. */
import type { CreateSessionResponse } from "./gen/avatar_pb.js";

/** The session on the server; after "recreated" it is another one. */
export interface SessionInfo {
  id: string;
  /** Opens the session's stream; WHEP, WHIP and the virtual camera ask for it too. Keep it secret. */
  resumeToken: string;
  /** Unit: pixels. */
  width: number;
  /** Unit: pixels. */
  height: number;
  /** Rate of the frame clock. */
  fps: number;
  /** Faces found in the photo; the largest is used. */
  faces: number;
  /** Row-major 2×3 map from photo pixels to frame pixels. */
  affine: readonly number[];
  /** Without a pose for this long it closes. Unit: seconds. */
  idleTimeoutS: number;
  maxDurationS: number;
  /** How long its slot is kept after a break. Unit: seconds. */
  resumeWindowS: number;
  /** Poses beyond this rate are dropped. Unit: poses per second. */
  maxPoseRateHz: number;
}

/** The server's answer in plain values. */
export function infoOf(created: CreateSessionResponse, fps: number): SessionInfo {
  const { limits } = created;
  return {
    id: created.sessionId,
    resumeToken: created.resumeToken,
    width: created.widthPx,
    height: created.heightPx,
    fps,
    faces: created.faces,
    affine: created.affine,
    idleTimeoutS: limits?.idleTimeoutS ?? 0,
    maxDurationS: limits?.maxDurationS ?? 0,
    resumeWindowS: limits?.resumeWindowS ?? 0,
    maxPoseRateHz: limits?.maxPoseRateHz ?? 0,
  };
}
