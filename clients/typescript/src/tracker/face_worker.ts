/** The worker that finds faces: loads one backend, then answers one image after the other. */
import { poseFromLandmarks } from "../pose.js";
import { openFaceMesh } from "./face_mesh.js";
import { openTasks } from "./face_tasks.js";
import { hushMediapipe } from "./hush.js";
import {
  type Answer,
  type Delegate,
  type FindMessage,
  type OpenMessage,
  type Request,
  UnusableModel,
} from "./messages.js";
import { chooseDelegate } from "./renderer.js";

/** A loaded backend: MediaPipe's landmarks of one image, or nothing. */
export interface FaceBackend {
  find(image: ImageBitmap, timestampMs: number): Promise<readonly { x: number; y: number; z: number }[] | undefined>;
}

/** More looks at the first image of a face: the first alone is off by up to 1.6 % of the eye distance. */
const SETTLING_LOOKS = 3;

/** This worker; TypeScript's page and worker libraries exclude each other. */
const port = globalThis as unknown as {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(answer: Answer, transfer?: Transferable[]): void;
};

let backend: FaceBackend | null = null;
let following = false;
let lastMs = 0;

port.onmessage = ({ data }) => {
  const work = data.kind === "open" ? open(data) : find(data);
  work.catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    const missing = data.kind === "open" ? "missing" : "broken";
    port.postMessage({ kind: "failed", message, fault: error instanceof UnusableModel ? "unusable" : missing });
  });
};

async function open(request: OpenMessage): Promise<void> {
  const startMs = performance.now();
  const delegate: Delegate = chooseDelegate(request.delegate);
  hushMediapipe();
  backend = await (request.backend === "tasks" ? openTasks : openFaceMesh)(request, delegate);
  const blank = new OffscreenCanvas(64, 64);
  blank.getContext("2d")?.fillRect(0, 0, 64, 64);
  const image = blank.transferToImageBitmap();
  await backend.find(image, nextMs(0)); // the first image is slow: it makes the graph
  image.close();
  port.postMessage({ kind: "opened", delegate, ms: performance.now() - startMs });
}

async function find({ image, width, height, widest, timestampUs }: FindMessage): Promise<void> {
  const startMs = performance.now();
  const scale = Math.min(1, widest / width);
  const small = await createImageBitmap(image, {
    resizeWidth: Math.max(1, Math.round(width * scale)),
    resizeHeight: Math.max(1, Math.round(height * scale)),
  });
  image.close();
  let landmarks = await backend?.find(small, nextMs(timestampUs));
  if (landmarks && !following) {
    for (let look = 0; look < SETTLING_LOOKS; look += 1) {
      landmarks = (await backend?.find(small, nextMs(timestampUs))) ?? landmarks;
    }
  }
  following = landmarks !== undefined;
  small.close();
  const face = poseFromLandmarks(landmarks, width, height, timestampUs).face as Float32Array<ArrayBuffer> | null;
  port.postMessage({ kind: "found", face, ms: performance.now() - startMs }, face ? [face.buffer] : []);
}

/** MediaPipe wants milliseconds that increase. */
function nextMs(timestampUs: number): number {
  lastMs = Math.max(lastMs + 1, timestampUs / 1000);
  return lastMs;
}
