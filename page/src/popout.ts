/** A window with nothing but the avatar, for OBS and screen sharing. */

/** At most one such window. */
export class Popout {
  #window: Window | null = null;
  #stream: MediaStream | null = null;

  /** Opens it, or brings it to the front. @returns whether the browser allowed it. */
  open(stream: MediaStream): boolean {
    this.show(stream);
    if (this.#window && !this.#window.closed) {
      this.#window.focus();
      return true;
    }
    const opened = window.open("./popout.html", "avatar-clean", "popup,width=512,height=512");
    if (opened === null) {
      return false;
    }
    this.#window = opened;
    opened.addEventListener("load", () => this.#fill());
    return true;
  }

  get isOpen(): boolean {
    return this.#window !== null && !this.#window.closed;
  }

  /** Another stream for the same window, e.g. after a new start. */
  show(stream: MediaStream): void {
    for (const track of this.#stream?.getTracks() ?? []) {
      track.stop();
    }
    this.#stream = stream;
    this.#fill();
  }

  close(): void {
    this.#window?.close();
    for (const track of this.#stream?.getTracks() ?? []) {
      track.stop();
    }
    this.#window = this.#stream = null;
  }

  #fill(): void {
    const video = this.#window?.document.getElementById("clean") as HTMLVideoElement | null | undefined;
    if (video) {
      video.srcObject = this.#stream;
    }
  }
}
