/** The buttons under the stage, and the keys that do the same. */
import { element, press } from "./elements.js";
import { listenForKeys } from "./keys.js";

/** What can be done. */
export interface ControlActions {
  live(): void;
  calibrate(): void;
  mirror(on: boolean): void;
  pause(on: boolean): void;
  record(): void;
  popout(): void;
  virtual(): void;
  next(): void;
}

/** What the buttons show. */
export interface ControlState {
  live: boolean;
  starting: boolean;
  /** A portrait is chosen and its person agreed. */
  ready: boolean;
  paused: boolean;
  recording: boolean;
  virtual: boolean;
}

const NEEDS_LIFE = ["calibrate", "pause", "record", "popout", "virtual"] as const;

/** The toolbar. */
export class Controls {
  readonly #buttons = new Map(
    ["live", "mirror", ...NEEDS_LIFE].map((id) => [id, element(id, HTMLButtonElement)] as const),
  );
  #state: ControlState | null = null;

  constructor(actions: ControlActions) {
    const toggles = (id: string) => this.#button(id).getAttribute("aria-pressed") !== "true";
    const mirror = () => {
      const on = toggles("mirror");
      press(this.#button("mirror"), on);
      actions.mirror(on);
    };
    const live = (act: () => void) => () => {
      if (this.#state?.live) {
        act();
      }
    };
    const acts: Record<string, () => void> = {
      live: () => actions.live(),
      mirror,
      calibrate: live(() => actions.calibrate()),
      pause: live(() => actions.pause(toggles("pause"))),
      record: live(() => actions.record()),
      popout: live(() => actions.popout()),
      virtual: live(() => actions.virtual()),
    };
    for (const [id, button] of this.#buttons) {
      button.addEventListener("click", () => acts[id]?.());
    }
    const help = element("help", HTMLDialogElement);
    element("help-open", HTMLButtonElement).addEventListener("click", () => help.showModal());
    listenForKeys({
      c: () => acts["calibrate"]?.(),
      m: mirror,
      " ": () => acts["pause"]?.(),
      n: () => actions.next(),
      r: () => acts["record"]?.(),
      p: () => acts["popout"]?.(),
      "?": () => help.showModal(),
    });
  }

  /** Whether the server has a virtual camera to start. */
  offerVirtualCamera(offered: boolean): void {
    this.#button("virtual").hidden = !offered;
  }

  paint(state: ControlState): void {
    this.#state = state;
    const live = this.#button("live");
    const on = state.live || state.starting;
    live.disabled = !on && !state.ready;
    live.querySelector("span")?.replaceChildren(state.live ? "Stop" : state.starting ? "Cancel" : "Go live");
    live.querySelector("use")?.setAttribute("href", on ? "#i-stop" : "#i-play");
    for (const id of NEEDS_LIFE) {
      this.#button(id).disabled = !state.live;
    }
    press(this.#button("pause"), state.paused, state.paused ? "Go on" : "Pause");
    press(this.#button("record"), state.recording, state.recording ? "Save" : "Record");
    press(this.#button("virtual"), state.virtual);
  }

  #button(id: string): HTMLButtonElement {
    const button = this.#buttons.get(id);
    if (!button) {
      throw new Error(`there is no button ${id}`);
    }
    return button;
  }
}
