/** Who looks at a session's frames. Each reader has one slot in which the newest frame waits. */
import type { Frame } from "./frame.js";

/** One look at the frames: always the newest, each at most once. */
export class FrameReader {
  readonly #leave: (reader: FrameReader) => void;
  readonly #done: (frame: Frame) => void;
  #waiting: Frame | null = null;
  #inUse: Frame | null = null;
  readonly #waiters: (() => void)[] = [];
  #over = false;

  constructor(leave: (reader: FrameReader) => void, done: (frame: Frame) => void) {
    this.#leave = leave;
    this.#done = done;
  }

  /**
   * Waits for the newest frame; null = there will be no more. Asking for the next is what tells the server that the
   * last one was used.
   */
  async next(): Promise<Frame | null> {
    this.#release();
    while (this.#waiting === null && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
    this.#inUse = this.#waiting;
    this.#waiting = null;
    return this.#inUse;
  }

  /** Looks no more; a `next` that waits gives null. Idempotent. */
  close(): void {
    this.#release();
    this.#waiting = null;
    this.end();
    this.#leave(this);
  }

  /** A frame came. */
  put(frame: Frame): void {
    this.#waiting = frame;
    this.#wake();
  }

  /** There will be no more. */
  end(): void {
    this.#over = true;
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) {
      waiter();
    }
  }

  #release(): void {
    if (this.#inUse !== null) {
      this.#done(this.#inUse);
      this.#inUse = null;
    }
  }
}

/** All readers of a session. The quickest sets the pace: a frame counts as used when the first of them is done. */
export class FrameReaders {
  readonly #readers = new Set<FrameReader>();
  readonly #used: (frame: Frame) => void;
  #unused: Frame | null = null;
  #over = false;

  constructor(used: (frame: Frame) => void) {
    this.#used = used;
  }

  get empty(): boolean {
    return this.#readers.size === 0;
  }

  /** A new reader; a frame that nobody has used yet is its first. */
  open(): FrameReader {
    const reader = new FrameReader(
      (one) => this.#readers.delete(one),
      (frame) => this.use(frame),
    );
    if (this.#over) {
      reader.end();
      return reader;
    }
    this.#readers.add(reader);
    if (this.#unused !== null) {
      reader.put(this.#unused);
    }
    return reader;
  }

  put(frame: Frame): void {
    this.#unused = frame;
    for (const reader of this.#readers) {
      reader.put(frame);
    }
  }

  /** `frame` was drawn or taken. */
  use(frame: Frame): void {
    if (this.#unused === frame) {
      this.#unused = null;
    }
    this.#used(frame);
  }

  end(): void {
    this.#over = true;
    this.#unused = null;
    for (const reader of this.#readers) {
      reader.end();
    }
    this.#readers.clear();
  }
}
