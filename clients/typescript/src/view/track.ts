/** A session's frames as a video track. */
import { monotonicUs } from "../clock.js";
import type { FrameReader } from "../readers.js";
import { decode } from "./picture.js";

/** Chromium's way to make a track of pictures; a canvas does it elsewhere, but may stop in a hidden tab. */
interface TrackGenerator extends MediaStreamTrack {
  readonly writable: WritableStream<VideoFrame>;
}
declare const MediaStreamTrackGenerator: (new (init: { kind: "video" }) => TrackGenerator) | undefined;

/** Where decoded pictures go. */
interface Sink {
  readonly track: MediaStreamTrack;
  show(picture: ImageBitmap): Promise<void>;
}

/** The video track that `captureStream` gives. */
export class AvatarTrack {
  readonly stream: MediaStream;
  readonly #track: MediaStreamTrack;
  readonly #reader: FrameReader;

  /** @param fps Most frames a second. */
  constructor(reader: FrameReader, fps = Number.POSITIVE_INFINITY) {
    const sink = typeof MediaStreamTrackGenerator === "function" ? generated(MediaStreamTrackGenerator) : painted();
    this.#reader = reader;
    this.#track = sink.track;
    this.stream = new MediaStream([sink.track]);
    void this.#run(sink, new Thinning(fps));
  }

  /** Ends the track. Idempotent. */
  stop(): void {
    this.#reader.close();
    this.#track.stop();
  }

  async #run(sink: Sink, thinning: Thinning): Promise<void> {
    for (let frame = await this.#reader.next(); frame !== null; frame = await this.#reader.next()) {
      if (sink.track.readyState === "ended") {
        break; // the program stopped it
      }
      const picture = thinning.takes(frame.timestampUs) ? await decode(frame) : null;
      if (picture !== null) {
        await sink.show(picture);
        picture.close();
      }
    }
    this.stop();
  }
}

/** Shows what `reader` gives in a video element until the returned function is called or there is no more. */
export function playOn(video: HTMLVideoElement, reader: FrameReader): () => void {
  const track = new AvatarTrack(reader);
  video.srcObject = track.stream;
  video.muted = true;
  video.playsInline = true;
  video.play().catch(() => undefined); // it was taken away while it started
  return () => {
    track.stop();
    video.srcObject = null;
  };
}

/** Leaves out frames that come faster than `fps`. */
export class Thinning {
  readonly #intervalUs: number;
  #dueUs = 0;
  #lastUs = 0;

  constructor(fps: number) {
    this.#intervalUs = 1e6 / fps;
  }

  /** Whether the frame at `timestampUs` of the frame clock is due; clocks may begin anew. */
  takes(timestampUs: number): boolean {
    if (timestampUs < this.#lastUs) {
      this.#dueUs = 0;
    }
    this.#lastUs = timestampUs;
    if (timestampUs < this.#dueUs - this.#intervalUs / 4) {
      return false;
    }
    this.#dueUs = Math.max(this.#dueUs + this.#intervalUs, timestampUs);
    return true;
  }
}

function generated(Generator: new (init: { kind: "video" }) => TrackGenerator): Sink {
  const track = new Generator({ kind: "video" });
  const writer = track.writable.getWriter();
  writer.closed.catch(() => undefined); // a stopped track refuses; `readyState` tells
  return {
    track,
    async show(picture) {
      const frame = new VideoFrame(picture, { timestamp: monotonicUs() });
      await writer.write(frame).catch(() => frame.close());
    },
  };
}

function painted(): Sink {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { alpha: false });
  const [track] = canvas.captureStream().getVideoTracks();
  if (track === undefined) {
    throw new DOMException("a captured canvas has no video track", "NotSupportedError");
  }
  return {
    track,
    async show(picture) {
      if (canvas.width !== picture.width || canvas.height !== picture.height) {
        canvas.width = picture.width;
        canvas.height = picture.height;
      }
      context?.drawImage(picture, 0, 0);
    },
  };
}
