/**
 * The sample driver's poses, small enough to travel with the page: their mean and main components, whole numbers that
 * bear a scale (`tools/make_page_assets.py` makes the file).
 *
 * | bytes                | content, little-endian                               |
 * |----------------------|------------------------------------------------------|
 * | 8                    | "AVDEMO", uint16 version 1                           |
 * | 8                    | uint16 poses N, uint16 components K, float32 fps     |
 * | 4·1434               | float32 mean face                                    |
 * | 8·K                  | float32 scale of each basis, then of each weight     |
 * | 2·1434·K             | int16 basis, component by component                  |
 * | 2·N·K                | int16 weights, pose by pose                          |
 */
import { FACE_LENGTH } from "@avatar-sdk/client";

const HEADER_BYTES = 16;

/** A recorded driver. */
export class DemoPoses {
  readonly length: number;
  readonly fps: number;
  readonly #mean: Float32Array;
  readonly #basis: Float32Array[];
  readonly #weights: Float32Array;

  /** @throws Error it is no such file, or not whole. */
  constructor(file: ArrayBuffer) {
    const view = new DataView(file);
    const magic = file.byteLength < HEADER_BYTES ? "" : String.fromCharCode(...new Uint8Array(file, 0, 6));
    if (magic !== "AVDEMO" || view.getUint16(6, true) !== 1) {
      throw new Error("the demo drive's file is no recording this page can read");
    }
    const count = view.getUint16(8, true);
    const components = view.getUint16(10, true);
    const bytes = HEADER_BYTES + 4 * FACE_LENGTH + 8 * components + 2 * components * (FACE_LENGTH + count);
    if (file.byteLength !== bytes) {
      throw new Error(`the demo drive's file has ${file.byteLength} bytes; it should have ${bytes}`);
    }
    this.length = count;
    this.fps = view.getFloat32(12, true);
    const floats = (at: number, length: number) =>
      Float32Array.from({ length }, (_, i) => view.getFloat32(at + 4 * i, true));
    const whole = (at: number, length: number) =>
      Int16Array.from({ length }, (_, i) => view.getInt16(at + 2 * i, true));
    const scalesAt = HEADER_BYTES + 4 * FACE_LENGTH;
    const basisAt = scalesAt + 8 * components;
    const basisScales = floats(scalesAt, components);
    const weightScales = floats(scalesAt + 4 * components, components);
    this.#mean = floats(HEADER_BYTES, FACE_LENGTH);
    this.#basis = [...basisScales].map((scale, k) =>
      Float32Array.from(whole(basisAt + 2 * k * FACE_LENGTH, FACE_LENGTH), (value) => value * scale),
    );
    const weights = whole(basisAt + 2 * components * FACE_LENGTH, count * components);
    this.#weights = Float32Array.from(weights, (value, i) => value * (weightScales[i % components] ?? 0));
  }

  /** Pose number `index` as `Pose.face`; played from first to last, back to the first, and so on without a jump. */
  face(index: number): Float32Array {
    const period = Math.max(1, 2 * (this.length - 1));
    const step = index % period;
    const pose = step < this.length ? step : period - step;
    const face = this.#mean.slice();
    this.#basis.forEach((basis, k) => {
      const weight = this.#weights[pose * this.#basis.length + k] ?? 0;
      for (let i = 0; i < face.length; i += 1) {
        face[i] = (face[i] as number) + weight * (basis[i] as number);
      }
    });
    return face;
  }
}
