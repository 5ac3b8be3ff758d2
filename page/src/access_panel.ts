/** The token of a server that lets in only those who have one. */
import { element } from "./elements.js";

/** A field that shows itself when it is needed. */
export class AccessPanel {
  readonly #panel = element("access-panel", HTMLDetailsElement);
  readonly #token = element("token", HTMLInputElement);

  /** @param entered The user is done typing. */
  constructor(entered: () => void) {
    element("access", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      entered();
    });
  }

  /** "" = none. */
  get token(): string {
    return this.#token.value.trim();
  }

  /** The server asks for a token. */
  show(): void {
    this.#panel.hidden = false;
    this.#panel.open = true;
  }

  /** The user has to do something here. */
  ask(): void {
    this.show();
    this.#token.focus();
    this.#token.select();
  }
}
