/** Prints what the browser client weighs in a page: `node scripts/size.mjs [--json]`. */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Bundles `code` as a page would; nothing of Node may be in it. Returns its size in bytes, plain and gzipped. */
async function weigh(code) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: fileURLToPath(new URL("..", import.meta.url)), loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    conditions: ["@avatar-sdk/source"],
  });
  const text = outputFiles[0].contents;
  return { bytes: text.length, gzipped: gzipSync(text, { level: 9 }).length };
}

const sizes = {
  everything: await weigh('export * from "./src/index.ts"'),
  client: await weigh('export { AvatarClient } from "./src/index.ts"'),
  poseFromLandmarks: await weigh('export { poseFromLandmarks } from "./src/index.ts"'),
};
if (process.argv.includes("--json")) {
  console.log(JSON.stringify(sizes));
} else {
  for (const [name, { bytes, gzipped }] of Object.entries(sizes)) {
    console.log(`${name.padEnd(18)} ${bytes} bytes, ${gzipped} gzipped`);
  }
}
