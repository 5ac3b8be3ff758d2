/**
 * The little of a page that `@mediapipe/face_mesh` needs, for its way of working in a worker is broken: there it never
 * hands the WebGL context to what uploads images. It asks a page for a canvas, and for scripts to be loaded.
 */

/** A `<script>`: loaded as soon as it is put into the body. */
class Script {
  src = "";
  readonly #listeners = new Map<string, () => void>();

  setAttribute(name: string, value: string): void {
    if (name === "src") {
      this.src = value;
    }
  }

  addEventListener(name: string, listener: () => void): void {
    this.#listeners.set(name, listener);
  }

  load(): void {
    let outcome = "load";
    try {
      (globalThis as unknown as { importScripts: (address: string) => void }).importScripts(this.src);
    } catch {
      outcome = "error";
    }
    this.#listeners.get(outcome)?.();
  }
}

/** Makes this worker look like a page to what is loaded from now on. */
export function standInForThePage(): void {
  const document = {
    createElement: (tag: string) =>
      tag === "canvas" ? Object.assign(new OffscreenCanvas(1, 1), { style: {} }) : new Script(),
    body: { appendChild: (script: Script) => script.load() },
    addEventListener: () => undefined,
  };
  Object.assign(globalThis, { window: globalThis, document });
}
