/** Where the avatar goes besides the page: a file, a clean window, a virtual camera. */
import type { AvatarSession } from "@avatar-sdk/client";
import { Popout } from "./popout.js";
import { Recorder } from "./recorder.js";
import { switchVirtualCamera } from "./server_page.js";

const FPS = 24;

/** All of them; they end with the session, but for the window, which waits for the next. */
export class Outputs {
  readonly #popout = new Popout();
  readonly #say: (words: string) => void;
  readonly #changed: () => void;
  #recorder: Recorder | null = null;
  #virtual = false;

  /** @param say Tells the user for a moment. @param changed `recording` or `virtual` has changed. */
  constructor(say: (words: string) => void, changed: () => void) {
    this.#say = say;
    this.#changed = changed;
    addEventListener("pagehide", () => this.#popout.close());
  }

  get recording(): boolean {
    return this.#recorder !== null;
  }

  get virtual(): boolean {
    return this.#virtual;
  }

  /** Begins or ends a recording. */
  record(session: AvatarSession | null): void {
    if (this.#recorder) {
      this.#recorder.stop();
      this.#recorder = null;
    } else if (session) {
      try {
        this.#recorder = new Recorder(session.captureStream(FPS), (name, bytes) =>
          this.#say(`Saved ${name}, ${(bytes / 1e6).toFixed(1)} MB.`),
        );
      } catch (error) {
        this.#say(`There is no recording: ${error instanceof Error ? error.message : String(error)}.`);
      }
    }
    this.#changed();
  }

  /** Opens the clean window. */
  popOut(session: AvatarSession | null): void {
    if (session && !this.#popout.open(session.captureStream(FPS))) {
      this.#say("The browser blocked the window; allow windows for this page.");
    }
  }

  /** Another session: the clean window shows it. */
  follow(session: AvatarSession): void {
    this.#virtual = false;
    if (this.#popout.isOpen) {
      this.#popout.show(session.captureStream(FPS));
    }
  }

  /** Starts or stops the virtual camera of the server's machine. */
  async switchVirtualCamera(session: AvatarSession | null): Promise<void> {
    if (!session) {
      return;
    }
    try {
      await switchVirtualCamera(session.info, !this.#virtual);
      this.#virtual = !this.#virtual;
      this.#say(this.#virtual ? "The virtual camera shows the avatar." : "The virtual camera is off.");
    } catch (error) {
      this.#say(`The virtual camera cannot be switched: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.#changed();
  }

  /** The session is over. */
  end(): void {
    this.#recorder?.stop();
    this.#recorder = null;
    this.#virtual = false;
  }
}
