/** Copies what tracking in the page loads at run time: MediaPipe's face mesh, the build for processors with SIMD. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FILES = [
  "face_mesh.binarypb",
  "face_mesh.js",
  "face_mesh_solution_packed_assets.data",
  "face_mesh_solution_packed_assets_loader.js",
  "face_mesh_solution_simd_wasm_bin.js",
  "face_mesh_solution_simd_wasm_bin.wasm",
];

const source = dirname(createRequire(import.meta.url).resolve("@mediapipe/face_mesh/package.json"));
const target = fileURLToPath(new URL("../../avatar_sdk/server/web/tracker/", import.meta.url));
const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const name of FILES) {
  copyFileSync(join(source, name), join(target, name));
}
writeFileSync(join(target, "README.txt"), `@mediapipe/face_mesh ${version}, by Google, Apache-2.0, unchanged.\n`);
