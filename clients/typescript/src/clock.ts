/** Now, on the clock that poses and latencies are told by. Unit: microseconds, whole. */
export function monotonicUs(): number {
  return Math.round(performance.now() * 1000);
}
