/** The driver in front of a camera → poses, as they come. */
import { monotonicUs } from "../clock.js";
import { Emitter } from "../emitter.js";
import { AvatarError, type CameraError } from "../errors.js";
import type { Pose } from "../pose.js";
import { Camera, type CameraInfo, type CameraOptions, DEFAULT_FPS, listCameras } from "./camera.js";
import { FaceFinder, type FinderOptions } from "./finder.js";
import type { Backend, Delegate } from "./messages.js";
import { OneEuro, type OneEuroOptions } from "./one_euro.js";
import { Tempo } from "./tempo.js";

/** An image may come this much of an interval after the last one, for cameras are not even. */
const EARLIEST = 0.7;

/** What is tracked, with what, through which camera. */
export interface TrackerOptions extends FinderOptions, CameraOptions {
  /** Smooths poses here. Default: false, for the service smooths. */
  smoothing?: boolean | OneEuroOptions;
}

/** How tracking goes, over the last seconds. */
export interface TrackerStats {
  /** Tracked images per second. */
  fps: number;
  /** Time to find the face in one image, in the worker. Unit: milliseconds. */
  trackP50Ms: number;
  trackP95Ms: number;
  /** From the image to its pose, with the way to the worker and back. Unit: milliseconds. */
  delayP50Ms: number;
  delayP95Ms: number;
  /** Images tracked since the start, and how many of them showed a face. */
  tracked: number;
  faces: number;
  backend: Backend;
  delegate: Delegate;
}

/** What a tracker tells. */
export interface TrackerEvents {
  /** One per tracked image, with or without a face. */
  pose: Pose;
  /** Tracking has ended: the camera went away, or the tracker broke. */
  error: AvatarError;
}

/**
 * Follows one driver. Poses are never mirrored; show `video` mirrored by CSS if you like.
 *
 * ```ts
 * const tracker = await PoseTracker.create({ assets: "/tracker/" });
 * tracker.on("pose", (pose) => session.send(pose));
 * await tracker.start();
 * ```
 */
export class PoseTracker extends Emitter<TrackerEvents> {
  readonly #finder: FaceFinder;
  readonly #options: TrackerOptions;
  readonly #filter: OneEuro | null;
  readonly #tempo = new Tempo();
  #camera: Camera | null = null;
  #tracked = 0;
  #faces = 0;
  #lastUs = 0;

  private constructor(finder: FaceFinder, options: TrackerOptions) {
    super();
    this.#finder = finder;
    this.#options = options;
    const smoothing = options.smoothing ?? false;
    this.#filter = smoothing === false ? null : new OneEuro(smoothing === true ? {} : smoothing);
  }

  /** The cameras of this machine; names are hidden until the user has allowed one. Raises CameraError. */
  static cameras(): Promise<CameraInfo[]> {
    return listCameras();
  }

  /**
   * Loads the models into a worker.
   *
   * @throws MissingDependencyError the files are not at `assets`, or this browser cannot run them.
   * @throws InvalidConfigError the options contradict each other.
   */
  static async create(options: TrackerOptions): Promise<PoseTracker> {
    return new PoseTracker(await FaceFinder.open(options), options);
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
   * Opens the camera and begins to track. Does nothing when it tracks already.
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
    this.#filter?.reset();
  }

  /** `stop`, and frees the models for good. Idempotent. */
  close(): void {
    this.stop();
    this.#finder.close();
  }

  /** How tracking goes. */
  stats(): TrackerStats {
    const { backend, delegate } = this.#finder;
    return { ...this.#tempo.read(performance.now()), tracked: this.#tracked, faces: this.#faces, backend, delegate };
  }

  async #run(camera: Camera): Promise<void> {
    try {
      let dueUs = 0;
      for (let shot = await camera.next(); shot; shot = await camera.next()) {
        if (shot.timestampUs < dueUs) {
          shot.image.close(); // a camera that is faster than asked for
          continue;
        }
        dueUs = shot.timestampUs + EARLIEST * (1e6 / (this.#options.fps ?? DEFAULT_FPS));
        const { face, ms } = await this.#finder.find(shot);
        if (camera !== this.#camera) {
          return;
        }
        this.#tell(face, shot.timestampUs, ms);
      }
    } catch (error) {
      this.#fail(error instanceof AvatarError ? error : new AvatarError(String(error), { cause: error }));
    }
  }

  #tell(face: Float32Array | null, takenUs: number, ms: number): void {
    const timestampUs = Math.max(takenUs, this.#lastUs + 1);
    this.#lastUs = timestampUs;
    this.#tracked += 1;
    this.#tempo.add(performance.now(), ms, (monotonicUs() - takenUs) / 1000);
    if (face) {
      this.#faces += 1;
      const smooth = this.#filter ? this.#filter.filter(face, timestampUs) : face;
      this.emit("pose", { timestampUs, face: smooth, faceConfidence: 1 });
    } else {
      this.#filter?.reset();
      this.emit("pose", { timestampUs, face: null, faceConfidence: 0 });
    }
  }

  #fail(error: AvatarError | CameraError): void {
    if (this.#camera) {
      this.stop();
      this.emit("error", error);
    }
  }
}
