/** What stands behind the person, and how much of the portrait shows. */
import type { Background } from "@avatar-sdk/client";
import { element } from "./elements.js";

/** Background and framing; both are fixed when a session is made. */
export class PicturePanel {
  readonly #background = element("background", HTMLFieldSetElement);
  readonly #framing = element("framing", HTMLFieldSetElement);
  readonly #color = element("background-color", HTMLInputElement);
  readonly #image = element("background-image", HTMLInputElement);

  /** @param changed What `background` or `framing` give has changed. */
  constructor(changed: () => void) {
    this.#background.addEventListener("change", () => {
      element("background-color-field", HTMLElement).hidden = this.#kind !== "color";
      element("background-image-field", HTMLElement).hidden = this.#kind !== "image";
      if (this.#kind !== "image" || this.#image.files?.length) {
        changed();
      }
    });
    for (const input of [this.#color, this.#image, this.#framing]) {
      input.addEventListener("change", changed);
    }
  }

  get background(): Background {
    const kind = this.#kind;
    const image = this.#image.files?.[0];
    if (kind === "color") {
      return { kind, color: this.#color.value };
    }
    if (kind === "image") {
      return image ? { kind, image } : { kind: "keep" };
    }
    return { kind: kind === "blur" ? "blur" : "keep" };
  }

  get framing(): "face" | "bust" {
    return checked(this.#framing) === "face" ? "face" : "bust";
  }

  get #kind(): string {
    return checked(this.#background);
  }
}

function checked(choices: HTMLFieldSetElement): string {
  return choices.querySelector<HTMLInputElement>("input:checked")?.value ?? "";
}
