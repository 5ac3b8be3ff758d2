/** The newest image of a camera, whenever it is asked for; images nobody asked for are dropped. */

/** One camera image, to be closed by whoever takes it. */
export interface Shot {
  image: VideoFrame | ImageBitmap;
  /** When it was taken, on `monotonicUs()`. Unit: microseconds. */
  timestampUs: number;
  /** Unit: pixels. */
  width: number;
  /** Unit: pixels. */
  height: number;
}

/** Where images come from. */
export interface Frames {
  /** When the last image came, on `performance.now()`. Unit: milliseconds. */
  readonly lastMs: number;
  /** Images that were dropped because a newer one came before they were asked for. */
  readonly dropped: number;
  /** The newest image that was not given yet, waiting for one; null once closed. */
  next(): Promise<Shot | null>;
  /** Ends. Idempotent. */
  close(): void;
}

/** Chromium's way to a track's images, which goes on while the page is hidden; TypeScript does not know it. */
type TrackProcessor = new (init: { track: MediaStreamTrack }) => { readable: ReadableStream<VideoFrame> };

/** The images of a camera, by the best way this browser has. `video` shows the same camera. */
export function cameraFrames(track: MediaStreamTrack, video: HTMLVideoElement): Frames {
  const processor = (globalThis as { MediaStreamTrackProcessor?: TrackProcessor }).MediaStreamTrackProcessor;
  return processor ? new TrackFrames(new processor({ track }).readable) : new VideoFrames(video);
}

/** A waiter for what comes next; at most one waits. */
class Turn {
  #wake: (() => void) | undefined;

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  call(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

class TrackFrames implements Frames {
  lastMs = performance.now();
  dropped = 0;
  readonly #turn = new Turn();
  readonly #reader: ReadableStreamDefaultReader<VideoFrame>;
  #newest: Shot | null = null;
  #closed = false;

  constructor(readable: ReadableStream<VideoFrame>) {
    this.#reader = readable.getReader();
    void this.#read();
  }

  async next(): Promise<Shot | null> {
    while (!this.#newest && !this.#closed) {
      await this.#turn.wait();
    }
    const shot = this.#newest;
    this.#newest = null;
    return shot;
  }

  close(): void {
    this.#closed = true;
    this.#newest?.image.close();
    this.#newest = null;
    this.#turn.call();
    this.#reader.cancel().catch(() => undefined);
  }

  async #read(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done || this.#closed) {
        value?.close();
        this.close();
        return;
      }
      this.lastMs = performance.now();
      if (this.#newest) {
        this.#newest.image.close();
        this.dropped += 1;
      }
      this.#newest = {
        image: value,
        timestampUs: Math.round(this.lastMs * 1000),
        width: value.displayWidth,
        height: value.displayHeight,
      };
      this.#turn.call();
    }
  }
}

class VideoFrames implements Frames {
  lastMs = performance.now();
  dropped = 0;
  readonly #turn = new Turn();
  readonly #video: HTMLVideoElement;
  #takenMs: number | null = null;
  #callback = 0;
  #closed = false;

  constructor(video: HTMLVideoElement) {
    this.#video = video;
    this.#listen();
  }

  async next(): Promise<Shot | null> {
    for (;;) {
      while (this.#takenMs === null && !this.#closed) {
        await this.#turn.wait();
      }
      if (this.#takenMs === null || this.#closed) {
        return null;
      }
      const timestampUs = Math.round(this.#takenMs * 1000);
      const { videoWidth: width, videoHeight: height } = this.#video;
      this.#takenMs = null;
      if (width > 0 && height > 0) {
        return { image: await createImageBitmap(this.#video), timestampUs, width, height };
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#video.cancelVideoFrameCallback(this.#callback);
    this.#turn.call();
  }

  #listen(): void {
    this.#callback = this.#video.requestVideoFrameCallback((now, { captureTime }) => {
      this.lastMs = now;
      this.dropped += this.#takenMs === null ? 0 : 1;
      // some cameras count from another origin
      this.#takenMs = captureTime !== undefined && captureTime > now - 1000 && captureTime <= now ? captureTime : now;
      this.#turn.call();
      this.#listen();
    });
  }
}
