/** The page's side of the worker that finds faces: one question at a time. */
import { AvatarError, InvalidConfigError, MissingDependencyError } from "../errors.js";
import type { Shot } from "./frames.js";
import type { Answer, Backend, Delegate, Fault, Request } from "./messages.js";

/** What finds the face, and from where it is loaded. */
export interface FinderOptions {
  /** Folder with the backend's files: of `@mediapipe/face_mesh`, or of `@mediapipe/tasks-vision`. */
  assets: string;
  backend?: Backend;
  /** A Face Landmarker model (`.task`), for backend "tasks". */
  task?: string;
  /** Default: "gpu", or "cpu" where the graphics card is only simulated. */
  delegate?: Delegate;
  /** The network is given images of at most this width; they shrink by whole. Unit: pixels. Default: 480. */
  widest?: number;
}

/** Finds the face in camera images, off the page's own thread. */
export class FaceFinder {
  readonly delegate: Delegate;
  readonly backend: Backend;
  readonly #worker: Worker;
  readonly #widest: number;

  private constructor(worker: Worker, backend: Backend, delegate: Delegate, widest: number) {
    this.#worker = worker;
    this.backend = backend;
    this.delegate = delegate;
    this.#widest = widest;
  }

  /**
   * Starts the worker and loads the models.
   *
   * @throws MissingDependencyError the files are not there, or this browser cannot run them in a worker.
   * @throws InvalidConfigError the options contradict each other, or the model is none.
   */
  static async open(options: FinderOptions): Promise<FaceFinder> {
    const { backend = "face_mesh", task = "", widest = 480 } = options;
    if (backend === "tasks" && !task) {
      throw new InvalidConfigError('backend "tasks" needs `task`, the address of a Face Landmarker model', {
        field: "task",
      });
    }
    if (typeof OffscreenCanvas === "undefined" || typeof Worker === "undefined") {
      throw new MissingDependencyError(
        "this browser has no OffscreenCanvas, which tracking needs (Chrome 69, Firefox 105, Safari 17); update it, or " +
          "let the server track",
      );
    }
    const worker = new Worker(new URL("./face_worker.js", import.meta.url), { name: "avatar tracker" });
    const absolute = (path: string) => new URL(path, document.baseURI).href;
    const assets = absolute(options.assets.endsWith("/") ? options.assets : `${options.assets}/`);
    try {
      const answer = await ask(worker, {
        kind: "open",
        backend,
        assets,
        task: task && absolute(task),
        delegate: options.delegate,
      });
      return new FaceFinder(worker, backend, answer.kind === "opened" ? answer.delegate : "cpu", widest);
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /** The face in an image as 478 × 3 numbers of a `Pose`, or null, and how long that took; uses the image up. */
  async find({
    image,
    width,
    height,
    timestampUs,
  }: Shot): Promise<{ face: Float32Array<ArrayBuffer> | null; ms: number }> {
    const request: Request = { kind: "find", image, width, height, widest: this.#widest, timestampUs };
    const answer = await ask(this.#worker, request, [image]);
    return answer.kind === "found" ? answer : { face: null, ms: 0 };
  }

  /** Frees models and worker. Idempotent; a pending `find` never answers. */
  close(): void {
    this.#worker.terminate();
  }
}

/** One request and its answer. */
function ask(worker: Worker, request: Request, transfer: Transferable[] = []): Promise<Answer> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (data.kind === "failed") {
        reject(errorOf(data.fault, data.message));
      } else {
        resolve(data);
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new AvatarError(`the tracker's worker broke: ${event.message || "it could not be loaded"}`));
    };
    worker.postMessage(request, transfer);
  });
}

function errorOf(fault: Fault, message: string): AvatarError {
  switch (fault) {
    case "missing":
      return new MissingDependencyError(message);
    case "unusable":
      return new InvalidConfigError(message, { field: "task" });
    case "broken":
      return new AvatarError(message);
  }
}
