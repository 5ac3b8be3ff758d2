/** The page's build: into the Python package that serves it, the same bytes for the same sources. */
import { defineConfig } from "vite";

const SOURCES = "@avatar-sdk/source"; // the client as it is written: it need not be built first

export default defineConfig({
  base: "./",
  resolve: { conditions: [SOURCES, "browser", "module"] },
  ssr: { resolve: { conditions: [SOURCES, "module", "node"] } }, // Vitest's
  build: {
    outDir: "../avatar_sdk/server/web/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: { input: ["index.html", "popout.html"] },
  },
  worker: { format: "iife" },
  server: {
    proxy: {
      "/v1": { target: "http://127.0.0.1:8080", ws: true },
      "/avatar.v1.AvatarService": "http://127.0.0.1:8080",
      "/tracker": "http://127.0.0.1:8080",
    },
  },
});
