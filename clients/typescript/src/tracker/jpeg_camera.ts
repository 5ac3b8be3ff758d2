/** The driver's camera as small JPEGs, for servers that track. */
import { Emitter } from "../emitter.js";
import { AvatarError, InvalidConfigError } from "../errors.js";
import { Camera, type CameraOptions } from "./camera.js";

/** One picture of the driver. */
export interface CameraJpeg {
  jpeg: Blob;
  /** When it was taken, on `monotonicUs()`. Unit: microseconds. */
  timestampUs: number;
}

/** Which camera, how many pictures and how good. */
export interface JpegCameraOptions extends CameraOptions {
  /** JPEG quality. Range: [0, 1]. Default: 0.8. */
  quality?: number;
  /** Pictures shrink to this width; faces need no more. Unit: pixels. Default: 480. */
  widest?: number;
}

/** What it tells. */
export interface JpegCameraEvents {
  image: CameraJpeg;
  /** The camera went away. */
  error: AvatarError;
}

/**
 * Pictures of the driver, the newest whenever the last is encoded. They leave the user's machine: ask first.
 *
 * ```ts
 * const camera = new JpegCamera();
 * camera.on("image", ({ jpeg, timestampUs }) => session.sendCamera(jpeg, timestampUs));
 * await camera.start();
 * ```
 */
export class JpegCamera extends Emitter<JpegCameraEvents> {
  readonly #options: JpegCameraOptions;
  readonly #canvas = new OffscreenCanvas(1, 1);
  #camera: Camera | null = null;

  /** @throws InvalidConfigError quality or width is out of range. */
  constructor(options: JpegCameraOptions = {}) {
    super();
    const { quality = 0.8, widest = 480 } = options;
    if (!(quality >= 0 && quality <= 1)) {
      throw new InvalidConfigError(`quality is ${quality}; it must be in [0, 1]`, { field: "quality" });
    }
    if (!(widest >= 64 && widest <= 1280)) {
      throw new InvalidConfigError(`widest is ${widest}; it must be in [64, 1280] pixels`, { field: "widest" });
    }
    this.#options = options;
  }

  /** Shows the camera; null before `start` and after `stop`. */
  get video(): HTMLVideoElement | null {
    return this.#camera?.video ?? null;
  }

  /** The camera's name; "" without one. */
  get label(): string {
    return this.#camera?.label ?? "";
  }

  /**
   * Opens the camera and begins to tell pictures. Does nothing when it does already.
   *
   * @throws CameraError permission was denied, the camera is missing, taken or silent.
   */
  async start(): Promise<void> {
    if (this.#camera) {
      return;
    }
    const camera = await Camera.open(this.#options);
    this.#camera = camera;
    camera.on("error", (error) => this.#fail(error));
    void this.#run(camera);
  }

  /** Lets go of the camera; `start` goes on. Idempotent. */
  stop(): void {
    this.#camera?.close();
    this.#camera = null;
  }

  async #run(camera: Camera): Promise<void> {
    try {
      for (let shot = await camera.next(); shot; shot = await camera.next()) {
        const jpeg = await this.#encode(shot.image, shot.width, shot.height);
        if (camera !== this.#camera) {
          return;
        }
        this.emit("image", { jpeg, timestampUs: shot.timestampUs });
      }
    } catch (error) {
      this.#fail(new AvatarError(`the camera's picture cannot be encoded: ${String(error)}`, { cause: error }));
    }
  }

  async #encode(image: VideoFrame | ImageBitmap, width: number, height: number): Promise<Blob> {
    const { quality = 0.8, widest = 480 } = this.#options;
    const scale = Math.min(1, widest / width, widest / height);
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#canvas.getContext("2d")?.drawImage(image, 0, 0, this.#canvas.width, this.#canvas.height);
    image.close();
    return this.#canvas.convertToBlob({ type: "image/jpeg", quality });
  }

  #fail(error: AvatarError): void {
    if (this.#camera) {
      this.stop();
      this.emit("error", error);
    }
  }
}
