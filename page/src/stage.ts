/** The two screens: the avatar, and you with the landmarks that were found. */
import type { Pose } from "@avatar-sdk/client";
import { CONTOURS } from "./contours.js";
import { element } from "./elements.js";

/** 4:3, until a camera says otherwise. */
const SHAPE = { width: 640, height: 480 };

/** Shows and hides what the screens hold. */
export class Stage {
  readonly canvas = element("avatar", HTMLCanvasElement);
  readonly #avatarBlank = element("avatar-blank", HTMLElement);
  readonly #still = element("avatar-still", HTMLImageElement);
  readonly #hint = element("avatar-hint", HTMLElement);
  readonly #veil = element("avatar-veil", HTMLElement);
  readonly #self = element("self-screen", HTMLElement);
  readonly #view = element("self-view", HTMLElement);
  readonly #selfBlank = element("self-blank", HTMLElement);
  readonly #caption = element("self-caption", HTMLElement);
  readonly #overlay = element("overlay", HTMLCanvasElement);
  #shape = SHAPE;
  #pose: Pose | null = null;
  #due = 0;

  /** The portrait as it stands, before the avatar lives. */
  showStill(address: string | null, hint: string): void {
    this.#still.hidden = address === null;
    if (address !== null && this.#still.src !== address) {
      this.#still.src = address;
    }
    this.#hint.textContent = hint;
  }

  /** Whether the avatar is seen, or the still. */
  set live(live: boolean) {
    document.documentElement.classList.toggle("live", live);
    this.#avatarBlank.hidden = live;
  }

  /** Words over the avatar; "" = none. */
  set veil(words: string) {
    this.#veil.hidden = words === "";
    this.#veil.textContent = words;
  }

  /** Both screens as in a mirror; what is recorded or sent stays as it is. */
  set mirrored(mirrored: boolean) {
    document.documentElement.classList.toggle("mirrored", mirrored);
  }

  /** The driver: a camera's picture, landmarks alone, or nobody. */
  showDriver(label: string | null, video: HTMLVideoElement | null): void {
    this.#view.replaceChildren(...(video ? [video] : []));
    this.#shape = video?.videoWidth ? { width: video.videoWidth, height: video.videoHeight } : SHAPE;
    this.#self.style.setProperty("--shape", `${this.#shape.width} / ${this.#shape.height}`);
    this.#selfBlank.hidden = label !== null;
    this.#caption.textContent = label ? `You: ${label}` : "You";
    this.showPose(null);
  }

  /** Draws a pose with the screen's next picture. */
  showPose(pose: Pose | null): void {
    this.#pose = pose;
    this.#due ||= requestAnimationFrame(() => {
      this.#due = 0;
      this.#draw();
    });
  }

  #draw(): void {
    const { clientWidth, clientHeight } = this.#overlay;
    const density = Math.min(2, devicePixelRatio);
    const width = Math.round(clientWidth * density);
    const height = Math.round(clientHeight * density);
    if (this.#overlay.width !== width || this.#overlay.height !== height) {
      this.#overlay.width = width;
      this.#overlay.height = height;
    }
    const pen = this.#overlay.getContext("2d");
    pen?.clearRect(0, 0, width, height);
    const face = this.#pose?.face;
    if (!pen || !face) {
      return;
    }
    pen.lineWidth = 1.25 * density;
    pen.lineJoin = "round";
    pen.strokeStyle = "#7fe0d2";
    pen.beginPath();
    for (const chain of CONTOURS) {
      chain.forEach((point, i) => {
        const x = (face[3 * point] ?? 0) * width;
        const y = (face[3 * point + 1] ?? 0) * width; // both in image widths
        if (i === 0) {
          pen.moveTo(x, y);
        } else {
          pen.lineTo(x, y);
        }
      });
    }
    pen.stroke();
  }
}
