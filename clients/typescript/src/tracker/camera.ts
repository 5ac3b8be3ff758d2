/** The driver's camera in a browser: by name, with errors in words, and honest about going away. */
import { Emitter } from "../emitter.js";
import { CameraError } from "../errors.js";
import { cameraFrames, type Frames } from "./frames.js";

/** A camera with no image for this long is taken, closed or broken. Unit: milliseconds. */
const SILENCE_MS = 5000;

/** What cameras are asked for. Unit: frames per second. */
export const DEFAULT_FPS = 30;

/** A camera of this machine. */
export interface CameraInfo {
  deviceId: string;
  /** What its maker calls it; "" until the user has allowed a camera once. */
  label: string;
}

/** Which camera, and how large its images should be. */
export interface CameraOptions {
  /** A device id, or a part of the camera's name in any case. Default: the browser's choice. */
  camera?: string;
  /** Wished width; cameras give the nearest they can. Unit: pixels. Default: 640. */
  width?: number;
  /** Wished height. Unit: pixels. Default: 480. */
  height?: number;
  /** Wished rate; the surplus of a faster camera is not tracked. Unit: frames per second. Default: 30. */
  fps?: number;
}

/** What a camera tells. */
export interface CameraEvents {
  /** It was unplugged, taken away or has gone silent; nothing more comes. */
  error: CameraError;
}

/**
 * The cameras of this machine. Names are hidden by browsers until the user has allowed a camera.
 *
 * @throws CameraError the page is not allowed to know.
 */
export async function listCameras(): Promise<CameraInfo[]> {
  const devices = await mediaDevices().enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId, label }) => ({ deviceId, label }));
}

/** An open camera. Its images are never mirrored; mirror `video` by CSS. */
export class Camera extends Emitter<CameraEvents> {
  /** Shows the camera, muted and playing; put it into the page, or leave it out. */
  readonly video: HTMLVideoElement;
  readonly track: MediaStreamTrack;
  readonly #frames: Frames;
  readonly #watch: ReturnType<typeof setInterval>;
  readonly #ended = () => this.#fail("was unplugged or taken away; plug it in and start it again");
  #closed = false;

  private constructor(track: MediaStreamTrack, video: HTMLVideoElement) {
    super();
    this.track = track;
    this.video = video;
    this.#frames = cameraFrames(track, video);
    this.#watch = setInterval(() => this.#listen(), SILENCE_MS / 5);
    track.addEventListener("ended", this.#ended);
  }

  /**
   * Asks the user for the camera and waits until it shows something.
   *
   * @throws CameraError permission was denied, there is no such camera, or it gives nothing; `cause` is the browser's.
   */
  static async open(options: CameraOptions = {}): Promise<Camera> {
    const stream = await request(options);
    const [track] = stream.getVideoTracks();
    if (!track) {
      throw new CameraError("the browser gave a stream without a picture; choose another camera");
    }
    const video = document.createElement("video");
    video.muted = true;
    video.playsInline = true;
    video.srcObject = stream;
    try {
      await shows(video, track);
    } catch (error) {
      track.stop();
      throw error;
    }
    return new Camera(track, video);
  }

  /** What its maker calls it. */
  get label(): string {
    return this.track.label;
  }

  /** The newest image that was not given yet, waiting for one; null once the camera is closed. */
  next(): ReturnType<Frames["next"]> {
    return this.#frames.next();
  }

  /** Lets go of the camera. Idempotent. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#watch);
    this.track.removeEventListener("ended", this.#ended);
    this.#frames.close();
    this.track.stop();
    this.video.srcObject = null;
  }

  #listen(): void {
    // browsers give hidden pages no images, which is not the camera's fault
    if (!document.hidden && performance.now() - this.#frames.lastMs > SILENCE_MS) {
      this.#fail("gives no images; open its shutter and close other programs that use it");
    }
  }

  #fail(what: string): void {
    if (!this.#closed) {
      this.close();
      this.emit("error", new CameraError(`the camera ${this.label ? `"${this.label}" ` : ""}${what}`));
    }
  }
}

function mediaDevices(): MediaDevices {
  const devices = globalThis.navigator?.mediaDevices;
  if (!devices?.getUserMedia) {
    throw new CameraError("browsers lend the camera only to https pages and to localhost; open the page that way");
  }
  return devices;
}

async function request(options: CameraOptions): Promise<MediaStream> {
  const wanted = options.camera ? await find(options.camera) : undefined;
  const first = await getUserMedia(options, wanted);
  if (!options.camera || wanted) {
    return first;
  }
  // the names were hidden until now
  const found = await find(options.camera).catch((error: unknown) => error);
  if (typeof found === "string" && found === first.getVideoTracks()[0]?.getSettings().deviceId) {
    return first;
  }
  for (const track of first.getTracks()) {
    track.stop();
  }
  if (typeof found === "string") {
    return getUserMedia(options, found);
  }
  throw found ?? new CameraError(`no camera matches "${options.camera}", for the browser tells no names`);
}

/** The device id of the camera meant; undefined while names are hidden. */
async function find(spec: string): Promise<string | undefined> {
  const cameras = await listCameras();
  const exact = cameras.find(({ deviceId }) => deviceId !== "" && deviceId === spec);
  if (exact) {
    return exact.deviceId;
  }
  if (cameras.length > 0 && cameras.every(({ label }) => label === "")) {
    return undefined;
  }
  const matches = cameras.filter(({ label }) => label.toLowerCase().includes(spec.toLowerCase()));
  const [match] = matches;
  if (match && matches.length === 1) {
    return match.deviceId;
  }
  const names = (matches.length > 0 ? matches : cameras).map(({ label }) => `"${label}"`).join(", ");
  if (matches.length > 1) {
    throw new CameraError(`several cameras match "${spec}": ${names}; give more of the name`);
  }
  throw new CameraError(
    cameras.length > 0 ? `no camera matches "${spec}"; there are ${names}` : "this machine has no camera; plug one in",
  );
}

async function getUserMedia(options: CameraOptions, deviceId?: string): Promise<MediaStream> {
  const { width = 640, height = 480, fps = DEFAULT_FPS } = options;
  try {
    return await mediaDevices().getUserMedia({
      audio: false,
      video: {
        width: { ideal: width },
        height: { ideal: height },
        frameRate: { ideal: fps },
        ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
      },
    });
  } catch (error) {
    throw inWords(error);
  }
}

/** The browser's word for why there is no camera, as a sentence with the way out. */
function inWords(error: unknown): Error {
  if (!(error instanceof DOMException)) {
    return error instanceof Error ? error : new CameraError(String(error));
  }
  const words: Record<string, string> = {
    NotAllowedError:
      "the camera is not allowed here: permission was denied; allow it for this page, by the camera sign in the address " +
      "bar or in the system's privacy settings, and start again",
    NotFoundError: "this machine has no camera; plug one in",
    NotReadableError: "the camera is taken by another program; close it and start again",
    OverconstrainedError: "that camera is not there any more; choose another",
  };
  return new CameraError(words[error.name] ?? `the camera cannot be opened: ${error.message || error.name}`, {
    cause: error,
  });
}

/** Plays the camera and waits for its first image. */
async function shows(video: HTMLVideoElement, track: MediaStreamTrack): Promise<void> {
  let late: ReturnType<typeof setTimeout> | undefined;
  const silent = new Promise<never>((_, reject) => {
    late = setTimeout(
      () =>
        reject(new CameraError(`the camera "${track.label}" gave no image for ${SILENCE_MS / 1000} s; is it taken?`)),
      SILENCE_MS,
    );
  });
  try {
    await Promise.race([video.play(), silent]);
  } finally {
    clearTimeout(late);
  }
}
