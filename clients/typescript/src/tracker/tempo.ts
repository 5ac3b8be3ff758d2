/** Rates and delays of the last seconds. */

const WINDOW_MS = 5000;

/** One piece of work done: when, how long the work took, how old its input was by then. Unit: milliseconds. */
interface Beat {
  atMs: number;
  workMs: number;
  delayMs: number;
}

/** Counts what is done a second and how long it takes. */
export class Tempo {
  #beats: Beat[] = [];

  /** Notes one piece of work. Unit: milliseconds. */
  add(atMs: number, workMs: number, delayMs: number): void {
    this.#beats.push({ atMs, workMs, delayMs });
    if (this.#beats.length > 1024) {
      this.#beats = this.#recent(atMs);
    }
  }

  /** Rate and medians of the last five seconds; zeros without work. */
  read(nowMs: number): { fps: number; trackP50Ms: number; trackP95Ms: number; delayP50Ms: number; delayP95Ms: number } {
    const beats = this.#recent(nowMs);
    const first = beats[0];
    const last = beats.at(-1);
    const work = beats.map(({ workMs }) => workMs).sort((a, b) => a - b);
    const delay = beats.map(({ delayMs }) => delayMs).sort((a, b) => a - b);
    return {
      fps: first && last && last !== first ? (1000 * (beats.length - 1)) / (last.atMs - first.atMs) : 0,
      trackP50Ms: quantile(work, 0.5),
      trackP95Ms: quantile(work, 0.95),
      delayP50Ms: quantile(delay, 0.5),
      delayP95Ms: quantile(delay, 0.95),
    };
  }

  #recent(nowMs: number): Beat[] {
    return this.#beats.filter(({ atMs }) => atMs > nowMs - WINDOW_MS);
  }
}

/** The value below which `share` of the sorted values lie; 0 without values. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
