/** Who moves the avatar: a camera tracked here, a camera tracked by the server, or a recording. */
import { type AvatarError, type AvatarSession, monotonicUs, type Pose } from "@avatar-sdk/client";
import { JpegCamera, PoseTracker } from "@avatar-sdk/client/tracker";
import type { DemoPoses } from "./demo_poses.js";

/** What a driver tells the page. */
export interface DriverListener {
  /** What was seen, for the overlay. */
  pose(pose: Pose): void;
  /** It has stopped by itself. */
  error(error: AvatarError): void;
}

/** Moves whatever session it is given. */
export interface Driver {
  /** Shows the driver; null without a camera. */
  readonly video: HTMLVideoElement | null;
  /** For people, e.g. the camera's name. */
  readonly label: string;
  /** Whom poses go to from now on; null = nobody. */
  session: AvatarSession | null;
  /** Raises CameraError, or MissingDependencyError where the tracker's files are missing. */
  start(): Promise<void>;
  /** Idempotent. */
  stop(): void;
  /** Figures for the statistics, name → value. */
  figures(): [string, string][];
}

/** MediaPipe in this page; only landmarks leave it. */
export class TrackedDriver implements Driver {
  session: AvatarSession | null = null;
  #tracker: PoseTracker | null = null;
  readonly #camera: string;
  readonly #listener: DriverListener;

  constructor(camera: string, listener: DriverListener) {
    this.#camera = camera;
    this.#listener = listener;
  }

  get video(): HTMLVideoElement | null {
    return this.#tracker?.video ?? null;
  }

  get label(): string {
    return this.#tracker?.label ?? "";
  }

  async start(): Promise<void> {
    const tracker = await PoseTracker.create({
      assets: "/tracker/",
      ...(this.#camera && { camera: this.#camera }),
    });
    tracker.on("pose", (pose) => {
      this.session?.send(pose);
      this.#listener.pose(pose);
    });
    tracker.on("error", (error) => this.#listener.error(error));
    this.#tracker = tracker;
    try {
      await tracker.start();
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  stop(): void {
    this.#tracker?.close();
    this.#tracker = null;
  }

  figures(): [string, string][] {
    const stats = this.#tracker?.stats();
    if (!stats) {
      return [];
    }
    return [
      ["Tracked a second", stats.fps.toFixed(1)],
      ["To find the face", `${stats.trackP50Ms.toFixed(0)} / ${stats.trackP95Ms.toFixed(0)} ms`],
      ["Tracks on", stats.delegate === "cpu" ? "processor" : "graphics"],
    ];
  }

  /** How tracking goes; null before it runs. */
  stats(): ReturnType<PoseTracker["stats"]> | null {
    return this.#tracker?.stats() ?? null;
  }
}

/** Pictures of the driver go to the server, which finds the face. */
export class ServerDriver implements Driver {
  session: AvatarSession | null = null;
  readonly #camera: JpegCamera;
  readonly #listener: DriverListener;
  #sent = 0;

  constructor(camera: string, listener: DriverListener) {
    this.#listener = listener;
    this.#camera = new JpegCamera(camera ? { camera } : {});
    this.#camera.on("image", ({ jpeg, timestampUs }) => {
      if (this.session) {
        this.session.sendCamera(jpeg, timestampUs);
        this.#sent += 1;
      }
    });
    this.#camera.on("error", (error) => listener.error(error));
  }

  get video(): HTMLVideoElement | null {
    return this.#camera.video;
  }

  get label(): string {
    return this.#camera.label;
  }

  start(): Promise<void> {
    return this.#camera.start();
  }

  stop(): void {
    this.#camera.stop();
    this.#listener.pose({ timestampUs: monotonicUs(), face: null });
  }

  figures(): [string, string][] {
    return [["Pictures sent", String(this.#sent)]];
  }
}

/** The recording that comes with the page. */
export class DemoDriver implements Driver {
  readonly video = null;
  readonly label = "Demo drive";
  session: AvatarSession | null = null;
  readonly #poses: DemoPoses;
  readonly #listener: DriverListener;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(poses: DemoPoses, listener: DriverListener) {
    this.#poses = poses;
    this.#listener = listener;
  }

  async start(): Promise<void> {
    const intervalMs = 1000 / this.#poses.fps;
    const startMs = performance.now();
    let shown = -1;
    const play = () => {
      const due = Math.floor((performance.now() - startMs) / intervalMs);
      if (due > shown) {
        shown = due;
        const pose = { timestampUs: monotonicUs(), face: this.#poses.face(due) };
        this.session?.send(pose);
        this.#listener.pose(pose);
      }
      this.#timer = setTimeout(play, Math.max(1, startMs + (shown + 1) * intervalMs - performance.now()));
    };
    play();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  figures(): [string, string][] {
    return [["Poses a second", this.#poses.fps.toFixed(0)]];
  }
}
