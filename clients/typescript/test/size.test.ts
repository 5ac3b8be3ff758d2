import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../scripts/size.mjs", import.meta.url));

describe("what a page loads", () => {
  // the bundle is made for browsers, where esbuild refuses whatever needs Node
  const sizes = JSON.parse(execFileSync(process.execPath, [SCRIPT, "--json"], { encoding: "utf8" }));

  test("is less than 60 kB gzipped, without any part of Node", () => {
    expect(sizes.everything.gzipped).toBeLessThan(60_000);
    expect(sizes.everything.gzipped).toBeGreaterThan(10_000);
  });

  test("is only what it uses", () => {
    expect(sizes.poseFromLandmarks.gzipped).toBeLessThan(1000);
  });
});
