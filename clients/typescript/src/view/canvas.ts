/// <reference lib="dom" preserve="true" />
/** A session's frames on a canvas. */
import type { FrameReader } from "../readers.js";
import { decode } from "./picture.js";

/** How a picture is laid into its canvas, as CSS `object-fit`. */
export interface ViewOptions {
  /** Default: "cover". */
  fit?: "cover" | "contain";
}

/** A rectangle. Unit: pixels. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Where a picture goes in a canvas: centred, covering all of it or whole inside it. Unit: pixels. */
export function placed(
  picture: { width: number; height: number },
  canvas: { width: number; height: number },
  fit: "cover" | "contain",
): Box {
  const scales = [canvas.width / picture.width, canvas.height / picture.height];
  const scale = fit === "cover" ? Math.max(...scales) : Math.min(...scales);
  const width = picture.width * scale;
  const height = picture.height * scale;
  return { x: (canvas.width - width) / 2, y: (canvas.height - height) / 2, width, height };
}

/**
 * Draws what `reader` gives until the returned function is called or there is no more. One picture is decoded at a
 * time while the newest waits. In a hidden tab frames are passed over, which still lets fresh ones come.
 */
export function drawOnto(canvas: HTMLCanvasElement, reader: FrameReader, options: ViewOptions): () => void {
  const size = new CanvasSize(canvas);
  const draw = async () => {
    for (let frame = await reader.next(); frame !== null; frame = await reader.next()) {
      if (canvas.ownerDocument.visibilityState === "hidden") {
        continue;
      }
      const picture = await decode(frame);
      if (picture !== null) {
        size.follow(picture);
        const context = canvas.getContext("2d", { alpha: false });
        const { x, y, width, height } = placed(picture, canvas, options.fit ?? "cover");
        context?.drawImage(picture, x, y, width, height);
        picture.close();
      }
    }
  };
  void draw();
  return () => reader.close();
}

/** Keeps a canvas at the resolution it is seen at. */
class CanvasSize {
  readonly #canvas: HTMLCanvasElement;
  /** A canvas without a size from CSS grows with its pixels: it gets the picture's. */
  #sizedByPixels = false;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  follow(picture: { width: number; height: number }): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const density = this.#canvas.ownerDocument.defaultView?.devicePixelRatio ?? 1;
    const seen = clientWidth > 0 && clientHeight > 0 && !this.#sizedByPixels;
    const changed = seen
      ? this.#set(Math.round(clientWidth * density), Math.round(clientHeight * density))
      : this.#set(picture.width, picture.height);
    if (seen && changed && (this.#canvas.clientWidth !== clientWidth || this.#canvas.clientHeight !== clientHeight)) {
      this.#sizedByPixels = true;
      this.#set(picture.width, picture.height);
    }
  }

  #set(width: number, height: number): boolean {
    if (this.#canvas.width === width && this.#canvas.height === height) {
      return false;
    }
    this.#canvas.width = width; // also wipes it, hence only when it changes
    this.#canvas.height = height;
    return true;
  }
}
