/** What is said to the user: one notice that stays, and toasts that pass. */
import { element } from "./elements.js";
import type { Way, Words } from "./words.js";

const TOAST_MS = 3500;

const LABELS: Record<Way, string> = {
  again: "Try again",
  demo: "Use the demo drive",
  "server-tracking": "Let the server track",
  token: "Enter a token",
  portrait: "Choose another",
};

/** Shows notices and toasts. */
export class Notices {
  readonly #notice = element("notice", HTMLElement);
  readonly #title = element("notice-title", HTMLElement);
  readonly #text = element("notice-text", HTMLElement);
  readonly #actions = element("notice-actions", HTMLElement);
  readonly #toasts = element("toasts", HTMLElement);
  readonly #take: (way: Way) => void;

  constructor(take: (way: Way) => void) {
    this.#take = take;
  }

  /** Until it is dismissed, replaced or no longer true. */
  show({ title, text, ways }: Words): void {
    this.#title.textContent = title;
    this.#text.textContent = text;
    const buttons = ways.map((way) => this.#button(LABELS[way], () => this.#take(way)));
    this.#actions.replaceChildren(
      ...buttons,
      this.#button("Dismiss", () => undefined),
    );
    this.#notice.hidden = false;
  }

  hide(): void {
    this.#notice.hidden = true;
  }

  /** For a moment. */
  toast(words: string): void {
    const toast = document.createElement("p");
    toast.textContent = words;
    this.#toasts.append(toast);
    setTimeout(() => toast.remove(), TOAST_MS);
  }

  #button(label: string, act: () => void): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      this.hide();
      act();
    });
    return button;
  }
}
