/** The page's state in a word, beside the brand and over the avatar. */
import type { SessionState } from "@avatar-sdk/client";
import { element } from "./elements.js";

type Tone = "quiet" | "good" | "busy" | "bad";

const STATES: Record<SessionState, { words: string; tone: Tone; veil: string }> = {
  connecting: { words: "Connecting…", tone: "busy", veil: "" },
  ready: { words: "Waiting for you…", tone: "busy", veil: "" },
  generating: { words: "Live", tone: "good", veil: "" },
  faceLost: { words: "No face in view", tone: "busy", veil: "No face in view: the avatar idles." },
  reconnecting: { words: "Reconnecting…", tone: "busy", veil: "The connection broke. Trying again…" },
  closed: { words: "Not live", tone: "quiet", veil: "" },
};

/** Announced by screen readers as it changes. */
export class Status {
  readonly #pill = element("status", HTMLElement);

  show(words: string, tone: Tone): void {
    if (this.#pill.textContent !== words) {
      this.#pill.textContent = words;
    }
    this.#pill.dataset["tone"] = tone;
  }

  /** A session's state; returns the words to lay over the avatar. */
  session(state: SessionState, paused: boolean): string {
    if (paused && (state === "generating" || state === "ready" || state === "faceLost")) {
      this.show("Paused", "quiet");
      return "Paused";
    }
    const { words, tone, veil } = STATES[state];
    this.show(words, tone);
    return veil;
  }
}
