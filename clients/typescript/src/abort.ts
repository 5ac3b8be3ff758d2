/** Waiting that an AbortSignal can end. */

/** `waited`, unless `signal` aborts first: then its reason is thrown, and what becomes of `waited` is ignored. */
export async function unlessAborted<Value>(waited: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) {
    return waited;
  }
  return new Promise<Value>((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const done = () => signal.removeEventListener("abort", abort);
    signal.addEventListener("abort", abort);
    waited.finally(done).then(resolve, reject);
    if (signal.aborted) {
      abort();
    }
  });
}
