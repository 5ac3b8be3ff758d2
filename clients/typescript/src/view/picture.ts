/** A frame as something that can be drawn. */
import type { Frame } from "../frame.js";

/** Decodes away from the page's thread; null = damaged, which harms no other frame. Close the picture after use. */
export async function decode(frame: Frame): Promise<ImageBitmap | null> {
  try {
    return await createImageBitmap(
      frame.encoding === "rgb" ? opaque(frame) : new Blob([frame.data], { type: "image/jpeg" }),
    );
  } catch (error) {
    if (error instanceof DOMException) {
      return null;
    }
    throw error;
  }
}

/** RGB with the fourth channel that browsers want. */
function opaque(frame: Frame): ImageData {
  const picture = new ImageData(frame.width, frame.height);
  const words = new Uint32Array(picture.data.buffer);
  const { data } = frame;
  for (let pixel = 0, at = 0; pixel < words.length; pixel += 1, at += 3) {
    words[pixel] = 0xff000000 | ((data[at + 2] ?? 0) << 16) | ((data[at + 1] ?? 0) << 8) | (data[at] ?? 0);
  }
  return picture;
}
