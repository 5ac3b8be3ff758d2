/** What the tracker's page side and its worker say to each other. */

/** Which of MediaPipe's two packages finds the face. */
export type Backend = "face_mesh" | "tasks";

/** Where networks run: "cpu" beats a graphics card that is only simulated. */
export type Delegate = "cpu" | "gpu";

/** Loads the models. */
export interface OpenMessage {
  kind: "open";
  backend: Backend;
  /** Absolute address of the folder of the backend's files, ending in "/". */
  assets: string;
  /** Absolute address of a Face Landmarker model, for "tasks". */
  task: string;
  /** undefined = by what the machine has. */
  delegate: Delegate | undefined;
}

/** Asks for the face in one image; the worker closes the image. */
export interface FindMessage {
  kind: "find";
  image: VideoFrame | ImageBitmap;
  /** Size of the camera's image. Unit: pixels. */
  width: number;
  height: number;
  /** The network is given at most this width. Unit: pixels. */
  widest: number;
  timestampUs: number;
}

export type Request = OpenMessage | FindMessage;

/** The answer to each request, in order. */
export type Answer =
  | { kind: "opened"; delegate: Delegate; ms: number }
  | { kind: "found"; face: Float32Array<ArrayBuffer> | null; ms: number }
  | { kind: "failed"; message: string; fault: Fault };

/** "missing": files are not there, or the browser cannot run them. "unusable": the model given is none. */
export type Fault = "missing" | "unusable" | "broken";

/** The model given is none. */
export class UnusableModel extends Error {}
