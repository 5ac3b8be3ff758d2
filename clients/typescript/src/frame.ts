/** One picture of the avatar. */

/** "pose": a new pose drove it. "held": the last pose, held for a moment. "idle": no pose; blinking and breathing. */
export type MotionSource = "pose" | "held" | "idle";

/** How frames travel: "jpeg" stands alone, "h264" needs a decoder of your own, "rgb" is for the same host. */
export type Encoding = "jpeg" | "h264" | "rgb";

/** Where the time of one frame went on the server. Unit: microseconds. */
export interface Timings {
  /** From the parsed pose to the start of the step. */
  queueUs: number;
  motionUs: number;
  warpUs: number;
  generatorUs: number;
  decodeUs: number;
  compositeUs: number;
  encodeUs: number;
  /** From the parsed pose to just before the write; 0 = no new pose. */
  poseToFrameUs: number;
}

/** One picture of the avatar. */
export interface Frame {
  /** Counts up from 1 within a session on the server; gaps are dropped frames. */
  seq: number;
  /** Time on the session's frame clock. Unit: microseconds since the first frame. */
  timestampUs: number;
  /** What `send` returned for the pose shown; 0 before the first. */
  poseSeq: number;
  /** The `timestampUs` of that pose. */
  poseTimestampUs: number;
  /** From `send` of that pose to the frame's arrival; null when it shows no new pose. Unit: microseconds. */
  latencyUs: number | null;
  source: MotionSource;
  /** Unit: pixels. */
  width: number;
  /** Unit: pixels. */
  height: number;
  encoding: Encoding;
  /** Whether decoding can start here. JPEG and RGB: always. */
  key: boolean;
  /** The picture as it travelled; RGB: height × width × 3 bytes. */
  data: Uint8Array<ArrayBuffer>;
  /** Always true: this picture was made by a machine. */
  generated: boolean;
  timings: Timings;
  /** When it arrived, on `monotonicUs()`. */
  receivedUs: number;
}
