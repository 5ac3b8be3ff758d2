import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DemoPoses } from "../src/demo_poses.js";

function file(): ArrayBuffer {
  const data = readFileSync(new URL("../public/demo_poses.bin", import.meta.url));
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer;
}

function largestStep(poses: DemoPoses, from: number): number {
  const [one, other] = [poses.face(from), poses.face(from + 1)];
  return Math.max(...one.map((value, i) => Math.abs(value - (other[i] ?? 0))));
}

test("the demo drive is a face in image widths", () => {
  const poses = new DemoPoses(file());
  expect(poses.length).toBe(300);
  expect(poses.fps).toBe(25);
  const face = poses.face(0);
  expect(face).toHaveLength(478 * 3);
  const [top, chin] = [face[3 * 10 + 1] ?? 0, face[3 * 152 + 1] ?? 0];
  expect(chin - top).toBeGreaterThan(0.15);
});

test("it plays forth and back without a jump", () => {
  const poses = new DemoPoses(file());
  const usual = Math.max(...Array.from({ length: 200 }, (_, i) => largestStep(poses, i)));
  for (const turn of [298, 299, 300, 596, 597, 598, 599]) {
    expect(largestStep(poses, turn)).toBeLessThanOrEqual(usual);
  }
  expect([...poses.face(301)]).toEqual([...poses.face(297)]);
});

test("a file that is no recording, or not whole, is refused", () => {
  expect(() => new DemoPoses(new ArrayBuffer(4))).toThrow("no recording");
  expect(() => new DemoPoses(new ArrayBuffer(64))).toThrow("no recording");
  expect(() => new DemoPoses(file().slice(0, 1000))).toThrow("has 1000 bytes; it should have");
});
