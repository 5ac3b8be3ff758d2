/** When to try again after a broken stream. */

/** How a broken stream is taken up again. */
export interface ReconnectOptions {
  /** Whether it is at all; otherwise the session ends with the error. Default: true. */
  enabled?: boolean;
  /** Upper bound of the wait before the second try; it doubles from try to try. Default: 300. Unit: milliseconds. */
  baseMs?: number;
  /** The longest wait. Default: 7000. Unit: milliseconds. */
  maxDelayMs?: number;
  /** From the break on; then the session ends with the last error. Default: 60000. Unit: milliseconds. */
  giveUpAfterMs?: number;
}

/** `ReconnectOptions` with every value decided. */
export class Backoff {
  readonly enabled: boolean;
  readonly giveUpAfterMs: number;
  readonly #baseMs: number;
  readonly #maxDelayMs: number;

  constructor(options: ReconnectOptions = {}) {
    this.enabled = options.enabled ?? true;
    this.giveUpAfterMs = options.giveUpAfterMs ?? 60_000;
    this.#baseMs = options.baseMs ?? 300;
    this.#maxDelayMs = options.maxDelayMs ?? 7_000;
  }

  /**
   * Wait before try number `attempt` (from 1): none before the first, then with full jitter. `atLeastS` is the
   * server's wish. Unit: milliseconds. Source: M. Brooker, Exponential Backoff And Jitter, AWS, 2015.
   */
  delayMs(attempt: number, atLeastS = 0): number {
    const bound = attempt <= 1 ? 0 : Math.min(this.#maxDelayMs, this.#baseMs * 2 ** Math.min(attempt - 2, 30));
    return Math.max(Math.random() * bound, atLeastS * 1000);
  }
}

/** Resolves after `delayMs`, or at once when `signal` aborts. */
export function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, signal.aborted ? 0 : delayMs);
    signal.addEventListener("abort", done);
  });
}
