/** Live figures, read aloud to nobody: they change every second. */
import type { SessionStatistics } from "@avatar-sdk/client";
import { element } from "./elements.js";
import { wordsForLimit } from "./words.js";

const QUALITY = {
  good: { tone: "good", words: "Good" },
  fair: { tone: "busy", words: "Fair" },
  poor: { tone: "bad", words: "Poor" },
} as const;

/** The table, and the verdict beside the status. */
export class StatisticsPanel {
  readonly #list = element("statistics", HTMLElement);
  readonly #verdict = element("verdict", HTMLElement);
  readonly #quality = element("quality", HTMLElement);

  /** Nothing lives. */
  clear(): void {
    this.#quality.hidden = true;
    this.#verdict.textContent = "Figures appear when the avatar is live.";
    this.#list.replaceChildren();
  }

  /** @param more Figures of the driver. */
  show(stats: SessionStatistics, more: readonly [string, string][]): void {
    const { tone, words } = QUALITY[stats.quality];
    this.#quality.hidden = false;
    this.#quality.dataset["tone"] = tone;
    this.#quality.textContent = `${words} · ${stats.fps.toFixed(0)} fps`;
    this.#verdict.textContent = wordsForLimit(stats.limitedBy);
    const rows: [string, string][] = [
      ["Frames a second", stats.fps.toFixed(1)],
      ["Delay, median", milliseconds(stats.latencyP50Ms)],
      ["Delay, 95 %", milliseconds(stats.latencyP95Ms)],
      ["Round trip", milliseconds(stats.rttMs)],
      ["Frames dropped", String(stats.framesDropped)],
      ["Poses dropped", String(stats.posesDropped)],
      ...more,
      ["Reconnected", String(stats.reconnects)],
    ];
    this.#list.replaceChildren(
      ...rows.map(([name, value]) => {
        const row = document.createElement("div");
        const term = document.createElement("dt");
        const told = document.createElement("dd");
        term.textContent = name;
        told.textContent = value;
        row.append(term, told);
        return row;
      }),
    );
  }
}

function milliseconds(value: number | null): string {
  return value === null ? "–" : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}
