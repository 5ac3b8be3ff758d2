/** Between the protocol's messages and this package's values. */
import { ProtocolError } from "./errors.js";
import type { Encoding, Frame, MotionSource } from "./frame.js";
import * as pb from "./gen/avatar_pb.js";
import type { Observation } from "./link.js";
import type { Pose } from "./pose.js";

const SOURCES: Readonly<Partial<Record<pb.MotionSource, MotionSource>>> = {
  [pb.MotionSource.POSE]: "pose",
  [pb.MotionSource.HELD]: "held",
  [pb.MotionSource.IDLE]: "idle",
};
const ENCODINGS: Readonly<Partial<Record<pb.Encoding, Encoding>>> = {
  [pb.Encoding.JPEG]: "jpeg",
  [pb.Encoding.H264]: "h264",
  [pb.Encoding.RGB]: "rgb",
};

/** The words for the encodings a server may name; those this client does not know are left out. */
export function encodingNames(encodings: readonly pb.Encoding[]): Encoding[] {
  return encodings.flatMap((one) => ENCODINGS[one] ?? []);
}

/** A pose as a message; its numbers are copied, so that the caller may use the arrays again. */
export function observationOf(pose: Pose): Observation {
  return {
    case: "pose",
    value: {
      timestampUs: BigInt(Math.round(pose.timestampUs)),
      face: bytesOf(pose.face),
      facePresent: pose.face !== null,
      faceConfidence: pose.faceConfidence ?? (pose.face === null ? 0 : 1),
      body: bytesOf(pose.body),
      hands: bytesOf(pose.hands),
    },
  };
}

/** Little-endian float32, which is how every machine that runs JavaScript keeps them. */
function bytesOf(values: Float32Array | null | undefined): Uint8Array<ArrayBuffer> {
  return values ? new Uint8Array(values.slice().buffer) : new Uint8Array();
}

/** The frame a message carries. */
export function frameFromMessage(message: pb.Frame, receivedUs: number, latencyUs: number | null): Frame {
  const encoding = ENCODINGS[message.encoding];
  if (encoding === undefined) {
    throw new ProtocolError(`frame ${message.seq} has encoding ${message.encoding}, which this client does not know`);
  }
  const timings = message.timings;
  return {
    seq: Number(message.seq),
    timestampUs: Number(message.timestampUs),
    poseSeq: Number(message.poseSeq),
    poseTimestampUs: Number(message.poseTimestampUs),
    latencyUs,
    source: SOURCES[message.source] ?? "idle",
    width: message.widthPx,
    height: message.heightPx,
    encoding,
    key: message.key,
    data: message.data as Uint8Array<ArrayBuffer>,
    generated: message.generated,
    timings: {
      queueUs: timings?.queueUs ?? 0,
      motionUs: timings?.motionUs ?? 0,
      warpUs: timings?.warpUs ?? 0,
      generatorUs: timings?.generatorUs ?? 0,
      decodeUs: timings?.decodeUs ?? 0,
      compositeUs: timings?.compositeUs ?? 0,
      encodeUs: timings?.encodeUs ?? 0,
      poseToFrameUs: timings?.poseToFrameUs ?? 0,
    },
    receivedUs,
  };
}
