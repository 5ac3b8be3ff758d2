/** How strongly the avatar follows each part of the driver. */
import type { Gains } from "@avatar-sdk/client";
import { element } from "./elements.js";

/** The sliders and the smoothing switch. */
export class MotionPanel {
  readonly #sliders: HTMLInputElement[];
  readonly #smoothing = element("smoothing", HTMLInputElement);

  /** @param changed Something was moved, by whom it may be told to the session. */
  constructor(changed: () => void) {
    this.#sliders = [...element("motion", HTMLElement).querySelectorAll<HTMLInputElement>('input[type="range"]')];
    for (const slider of this.#sliders) {
      slider.addEventListener("input", () => {
        this.#print(slider);
        changed();
      });
    }
    this.#smoothing.addEventListener("change", changed);
    element("motion-reset", HTMLButtonElement).addEventListener("click", () => {
      for (const slider of this.#sliders) {
        slider.value = "1";
        this.#print(slider);
      }
      changed();
    });
  }

  get gains(): Gains {
    const value = (name: keyof Gains) => Number(this.#sliders.find((slider) => slider.name === name)?.value ?? 1);
    return {
      head: value("head"),
      eyes: value("eyes"),
      brows: value("brows"),
      mouth: value("mouth"),
      translation: value("translation"),
    };
  }

  get smoothing(): boolean {
    return this.#smoothing.checked;
  }

  #print(slider: HTMLInputElement): void {
    const output = slider.parentElement?.querySelector("output");
    if (output) {
      output.textContent = Number(slider.value).toFixed(2);
    }
  }
}
