/** Backend "face_mesh": MediaPipe's npm package that carries its models, in a worker. */
import type { FaceBackend } from "./face_worker.js";
import { generatedFunction } from "./generated_functions.js";
import type { Delegate, OpenMessage } from "./messages.js";
import { standInForThePage } from "./page_stand_in.js";

interface Landmark {
  x: number;
  y: number;
  z: number;
}

interface Results {
  multiFaceLandmarks?: Landmark[][];
  image?: ImageBitmap | { close?: never };
}

/** What is used of `@mediapipe/face_mesh`. */
interface FaceMesh {
  setOptions(options: Record<string, boolean | number>): void;
  onResults(listener: (results: Results) => void): void;
  initialize(): Promise<void>;
  send(inputs: { image: ImageBitmap }, timestampMs: number): Promise<void>;
}

interface Scope {
  FaceMesh: new (config: { locateFile: (name: string) => string }) => FaceMesh;
  Function: unknown;
  importScripts: (...addresses: string[]) => void;
}

/**
 * Loads the package's files from `assets` and its graph.
 *
 * @throws Error the files are not there.
 */
export async function openFaceMesh({ assets }: OpenMessage, delegate: Delegate): Promise<FaceBackend> {
  const scope = globalThis as unknown as Scope;
  scope.Function = generatedFunction;
  standInForThePage();
  const locateFile = (name: string) => assets + name;
  try {
    scope.importScripts(locateFile("face_mesh.js"));
    await reach(locateFile("face_mesh_solution_packed_assets.data"));
  } catch (error) {
    throw new Error(
      `the tracker's files are not at ${assets}; copy those of the npm package @mediapipe/face_mesh there, or let the ` +
        "server track",
      { cause: error },
    );
  }
  const mesh = new scope.FaceMesh({ locateFile });
  // its confidences cannot be set: in this last version that breaks the graph; they stand at 0.5
  mesh.setOptions({
    maxNumFaces: 1,
    refineLandmarks: true,
    selfieMode: false,
    enableFaceGeometry: false,
    useCpuInference: delegate === "cpu",
  });
  let found: Landmark[] | undefined;
  mesh.onResults(({ multiFaceLandmarks, image }) => {
    found = multiFaceLandmarks?.[0];
    image?.close?.();
  });
  await mesh.initialize();
  return {
    async find(image, timestampMs) {
      found = undefined;
      await mesh.send({ image }, timestampMs);
      return found;
    },
  };
}

/** Without its models the package would wait for them for ever. */
async function reach(address: string): Promise<void> {
  const { ok, status } = await fetch(address, { method: "HEAD" });
  if (!ok) {
    throw new Error(`${address}: ${status}`);
  }
}
