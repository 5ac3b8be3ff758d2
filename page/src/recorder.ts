/** The avatar into a video file, badge and all. */

const KINDS = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];

/** Records a stream and offers the file when it ends. */
export class Recorder {
  readonly #recorder: MediaRecorder;
  readonly #parts: Blob[] = [];

  /** Begins. @throws Error this browser cannot record. @param saved The file's name and size once it is offered. */
  constructor(stream: MediaStream, saved: (name: string, bytes: number) => void) {
    const kind = KINDS.find((type) => MediaRecorder.isTypeSupported(type));
    if (kind === undefined) {
      throw new Error("this browser cannot record video");
    }
    this.#recorder = new MediaRecorder(stream, { mimeType: kind, videoBitsPerSecond: 4_000_000 });
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#parts.push(data));
    this.#recorder.addEventListener("stop", () => {
      for (const track of stream.getTracks()) {
        track.stop();
      }
      const file = new Blob(this.#parts, { type: kind.split(";")[0] ?? kind });
      if (file.size > 0) {
        const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
        const name = `avatar-${time}.${kind.startsWith("video/mp4") ? "mp4" : "webm"}`;
        offer(file, name);
        saved(name, file.size);
      }
    });
    this.#recorder.start(1000);
  }

  /** Ends and offers the file. Idempotent. */
  stop(): void {
    if (this.#recorder.state !== "inactive") {
      this.#recorder.stop();
    }
  }
}

function offer(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
