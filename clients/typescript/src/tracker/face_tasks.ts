/** Backend "tasks": MediaPipe's current npm package, for those who have a Face Landmarker model file. */
import type { FaceBackend } from "./face_worker.js";
import { type Delegate, type OpenMessage, UnusableModel } from "./messages.js";

interface Landmarker {
  detectForVideo(image: ImageBitmap, timestampMs: number): { faceLandmarks: { x: number; y: number; z: number }[][] };
}

/** What is used of `@mediapipe/tasks-vision`. */
interface Vision {
  FilesetResolver: { forVisionTasks(folder: string): Promise<unknown> };
  FaceLandmarker: { createFromOptions(files: unknown, options: object): Promise<Landmarker> };
}

/**
 * Loads the package's files from `assets` (`vision_bundle.mjs` and `wasm/`) and the model from `task`.
 *
 * @throws Error the files are not there.
 * @throws UnusableModel the model is none.
 */
export async function openTasks({ assets, task }: OpenMessage, delegate: Delegate): Promise<FaceBackend> {
  const vision = await load(`${assets}vision_bundle.mjs`);
  const files = await vision.FilesetResolver.forVisionTasks(`${assets}wasm`);
  const model = await fetch(task);
  if (!model.ok) {
    throw new Error(`there is no Face Landmarker model at ${task} (${model.status})`);
  }
  const landmarker = await vision.FaceLandmarker.createFromOptions(files, {
    baseOptions: {
      modelAssetBuffer: new Uint8Array(await model.arrayBuffer()),
      delegate: delegate === "cpu" ? "CPU" : "GPU",
    },
    runningMode: "VIDEO",
    numFaces: 1,
  }).catch((error: unknown) => {
    const [first] = String(error instanceof Error ? error.message : error).split("\n");
    throw new UnusableModel(`${task} is no Face Landmarker model: ${first}`);
  });
  return {
    async find(image, timestampMs) {
      return landmarker.detectForVideo(image, timestampMs).faceLandmarks[0];
    },
  };
}

async function load(address: string): Promise<Vision> {
  try {
    return (await import(/* @vite-ignore */ address)) as Vision;
  } catch (error) {
    throw new Error(
      `the tracker's files are not at ${address}; copy those of the npm package @mediapipe/tasks-vision there ` +
        `(${error instanceof Error ? error.message : String(error)})`,
    );
  }
}
