/** Whether networks should run on this machine's graphics card. */
import type { Delegate } from "./messages.js";

/** Names of graphics cards that are programs on the CPU. */
const SIMULATED = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/**
 * The wished delegate, or the faster one here: a simulated card is five times slower than the CPU it runs on.
 *
 * @throws Error this browser has no WebGL 2 in workers, which MediaPipe reads its images by.
 */
export function chooseDelegate(wished: Delegate | undefined): Delegate {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl) {
    throw new Error(
      "this browser gives workers no WebGL 2, by which the tracker reads images; switch hardware acceleration on, or " +
        "let the server track",
    );
  }
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return wished ?? (SIMULATED.test(name) ? "cpu" : "gpu");
}
