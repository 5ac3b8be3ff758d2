import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // one process: this machine also runs the service that the live tests talk to
    pool: "threads",
    poolOptions: { threads: { singleThread: true } },
    testTimeout: 60_000,
  },
});
