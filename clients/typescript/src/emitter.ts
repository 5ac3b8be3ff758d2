/** Typed listeners: `Events` maps each event's name to what its listeners are given. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => unknown>>();

  /** Calls `listener` at every `name` from now on; returns a function that stops it. */
  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => unknown): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => this.off(name, listener);
  }

  /** Undoes `on`. */
  off<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => unknown): void {
    this.#listeners.get(name)?.delete(listener);
  }

  /** Whether anybody listens. */
  protected heard(name: keyof Events): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /** Tells the listeners. What one of them throws is reported as an uncaught error and stops nobody else. */
  protected emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (value: Events[Name]) => unknown)(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
