/** Compiles `src` into `dist`, which is what the package ships. */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
const built = spawnSync(`${root}../../node_modules/.bin/tsc`, ["--project", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
process.exit(built.status ?? 1);
