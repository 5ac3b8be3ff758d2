/**
 * Recorded poses: files with the ending `.poses`, as `avatar track` writes them.
 *
 * Little-endian: magic (8 bytes), uint16 version, uint16 flags (1 = body part, 2 = hands part), uint32 bytes of the
 * source's name, uint32 width and height of the camera image, float64 frames per second, uint64 number of records, the
 * name; then records: uint64 timestamp_us, float32 face_confidence, uint32 parts (1 face, 2 body, 4 hands present),
 * float32 face 478×3, then body 33×4 and hands 2×21×3 where flagged.
 */
import { InvalidVideoError } from "./errors.js";
import { BODY_LENGTH, FACE_LENGTH, HANDS_LENGTH, type Pose } from "./pose.js";

/** What a file of poses holds. */
export interface PoseFile {
  /** Of the source; 0 = unknown. The poses' own time stamps count. */
  fps: number;
  /** Size of the camera image; 0 = unknown. Unit: pixels. */
  width: number;
  height: number;
  /** Name of the camera or clip, for people. */
  source: string;
  poses: Pose[];
}

const MAGIC = [0x89, 0x50, 0x4f, 0x53, 0x45, 0x53, 0x0d, 0x0a];
const VERSION = 1;
const HEADER_BYTES = 40;
const RECORD_HEAD_BYTES = 16;

/**
 * Reads the bytes of a `.poses` file.
 *
 * @throws InvalidVideoError it is none, is of another version, or is cut off.
 */
export function readPoseFile(bytes: Uint8Array): PoseFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw new InvalidVideoError("this is no .poses file; make one with `avatar track`");
  }
  const version = view.getUint16(8, true);
  if (version !== VERSION) {
    throw new InvalidVideoError(`the .poses file has version ${version}; this client reads version ${VERSION}`);
  }
  const flags = view.getUint16(10, true);
  const nameBytes = view.getUint32(12, true);
  const count = Number(view.getBigUint64(32, true));
  const lengths = [FACE_LENGTH, (flags & 1) !== 0 ? BODY_LENGTH : 0, (flags & 2) !== 0 ? HANDS_LENGTH : 0] as const;
  const recordBytes = RECORD_HEAD_BYTES + 4 * (lengths[0] + lengths[1] + lengths[2]);
  const start = HEADER_BYTES + nameBytes;
  if (bytes.length < start + count * recordBytes) {
    throw new InvalidVideoError(`the .poses file says ${count} poses, but ends before; was its recording cut off?`);
  }
  return {
    fps: view.getFloat64(24, true),
    width: view.getUint32(16, true),
    height: view.getUint32(20, true),
    source: new TextDecoder().decode(bytes.subarray(HEADER_BYTES, start)),
    poses: Array.from({ length: count }, (_, index) => record(view, start + index * recordBytes, lengths)),
  };
}

function record(view: DataView, offset: number, lengths: readonly [number, number, number]): Pose {
  const parts = view.getUint32(offset + 12, true);
  const [face, body, hands] = lengths;
  const at = offset + RECORD_HEAD_BYTES;
  return {
    timestampUs: Number(view.getBigUint64(offset, true)),
    faceConfidence: view.getFloat32(offset + 8, true),
    face: (parts & 1) !== 0 ? floats(view, at, face) : null,
    body: (parts & 2) !== 0 ? floats(view, at + 4 * face, body) : null,
    hands: (parts & 4) !== 0 ? floats(view, at + 4 * (face + body), hands) : null,
  };
}

function floats(view: DataView, offset: number, length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => view.getFloat32(offset + 4 * index, true));
}
