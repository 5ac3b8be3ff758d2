/** Compiles `src` into `dist`, which is what the package ships. */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
const built = spawnSync(`${root}../../node_modules/.bin/tsc`, ["--project", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (built.status !== 0) {
  process.exit(built.status ?? 1);
}
// the tracker's worker is a classic script, for MediaPipe loads its parts by importScripts: one file without imports
await build({
  entryPoints: [`${root}dist/tracker/face_worker.js`],
  outfile: `${root}dist/tracker/face_worker.js`,
  allowOverwrite: true,
  bundle: true,
  format: "iife",
  platform: "browser",
  target: "es2022",
});
