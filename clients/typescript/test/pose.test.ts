import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FACE_LENGTH, InvalidPoseError, InvalidVideoError, poseFromLandmarks, readPoseFile } from "../src/index.js";
import { checkPose } from "../src/pose.js";
import { observationOf } from "../src/wire.js";

const ROOT = new URL("../../../", import.meta.url);
const FIXTURE = JSON.parse(readFileSync(new URL("tests/data/pose_fixture.json", ROOT), "utf8"));
const LANDMARKS = FIXTURE.mediapipe.face.map(([x, y, z]: number[]) => ({ x, y, z }));

describe("landmarks of a camera image", () => {
  test("become the pose that every client of the service makes of them, to the last bit", () => {
    const pose = poseFromLandmarks(LANDMARKS, FIXTURE.width_px, FIXTURE.height_px, FIXTURE.timestamp_us);
    const { value } = observationOf(pose) as { value: { face: Uint8Array; timestampUs: bigint } };
    expect(Buffer.from(value.face).toString("base64")).toBe(FIXTURE.pose.face_base64);
    expect(value.timestampUs).toBe(BigInt(FIXTURE.timestamp_us));
  });

  test("are never mirrored: the subject's right eye stays landmark 33", () => {
    const { face } = poseFromLandmarks(LANDMARKS, 640, 480, 0);
    expect(face?.[33 * 3]).toBeCloseTo(LANDMARKS[33].x, 6);
  });

  test("that are missing are a pose without a face", () => {
    expect(poseFromLandmarks(null, 640, 480, 5)).toEqual({ timestampUs: 5, face: null, faceConfidence: 0 });
    expect(poseFromLandmarks([], 640, 480, 5).face).toBeNull();
  });

  test("without the iris are refused with the way out", () => {
    expect(() => poseFromLandmarks(LANDMARKS.slice(0, 468), 640, 480, 0)).toThrow(/468 landmarks.*refineLandmarks/);
  });
});

describe("a pose", () => {
  const face = new Float32Array(FACE_LENGTH);

  test("may lack everything but its time", () => {
    expect(() => checkPose({ timestampUs: 0, face: null })).not.toThrow();
  });

  test("may have a hand that is absent", () => {
    expect(() => checkPose({ timestampUs: 0, face, hands: new Float32Array(126).fill(Number.NaN) })).not.toThrow();
  });

  test.each([
    ["a negative time", { timestampUs: -1, face }, /timestampUs is -1/],
    ["no time", { timestampUs: Number.NaN, face }, /timestampUs is NaN/],
    ["too few numbers", { timestampUs: 0, face: face.subarray(1) }, /Float32Array\(1433\)/],
    ["a plain array", { timestampUs: 0, face: Array.from(face) }, /face is object/],
    ["a number out of range", { timestampUs: 0, face: face.map(() => 9) }, /face holds 9/],
    ["a number that is none", { timestampUs: 0, face: face.map(() => Number.NaN) }, /face holds NaN/],
    ["a body that is too short", { timestampUs: 0, face, body: face }, /body is Float32Array\(1434\)/],
    ["too much confidence", { timestampUs: 0, face, faceConfidence: 2 }, /faceConfidence is 2/],
  ])("with %s is refused", (_, pose, message) => {
    const check = () => checkPose(pose as never);
    expect(check).toThrow(InvalidPoseError);
    expect(check).toThrow(message);
  });

  test("is copied when it is handed over, so that its arrays can be used again", () => {
    const mine = new Float32Array(FACE_LENGTH);
    const { value } = observationOf({ timestampUs: 0, face: mine }) as { value: { face: Uint8Array } };
    mine.fill(1);
    expect(value.face.every((byte) => byte === 0)).toBe(true);
  });
});

describe("a file of poses", () => {
  const bytes = new Uint8Array(readFileSync(new URL("avatar_sdk/assets/sample.poses", ROOT)));

  test("gives every pose as it was recorded", () => {
    const { poses, fps } = readPoseFile(bytes);
    expect(poses).toHaveLength(300);
    expect(fps).toBeGreaterThan(0);
    for (const [index, pose] of poses.entries()) {
      checkPose(pose);
      expect(pose.timestampUs).toBeGreaterThan(poses[index - 1]?.timestampUs ?? -1);
    }
  });

  test("that is none, is newer or is cut off is refused", () => {
    expect(() => readPoseFile(bytes.subarray(1))).toThrow(InvalidVideoError);
    expect(() => readPoseFile(bytes.slice(0, -1))).toThrow(/ends before/);
    const newer = bytes.slice();
    newer[8] = 2;
    expect(() => readPoseFile(newer)).toThrow(/version 2/);
  });
});
