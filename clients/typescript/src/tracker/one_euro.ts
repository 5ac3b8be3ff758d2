/** Smoothing of a whole pose: Casiez, Roussel, Vogel, "1€ filter", CHI 2012, one filter per coordinate. */

/** Parameters of the filter. */
export interface OneEuroOptions {
  /** Cut-off of a coordinate at rest: lower is smoother and later. Unit: hertz. Default: 3. */
  minCutoff?: number;
  /** How much motion opens the filter. Unit: hertz per (image width per second). Default: 26. */
  beta?: number;
  /** Cut-off of the speed's own filter. Unit: hertz. Default: 1. */
  speedCutoff?: number;
}

/** Filters arrays of equal length that come with increasing times. */
export class OneEuro {
  readonly #minCutoff: number;
  readonly #beta: number;
  readonly #speedCutoff: number;
  #values: Float32Array | null = null;
  #speeds = new Float32Array(0);
  #lastUs = 0;

  constructor({ minCutoff = 3, beta = 26, speedCutoff = 1 }: OneEuroOptions = {}) {
    this.#minCutoff = minCutoff;
    this.#beta = beta;
    this.#speedCutoff = speedCutoff;
  }

  /** The smoothed values; the first after `reset`, or after another length, pass as they are. Unit of time: µs. */
  filter(values: Float32Array, timestampUs: number): Float32Array {
    const dt = (timestampUs - this.#lastUs) / 1e6;
    this.#lastUs = timestampUs;
    const last = this.#values;
    if (!last || last.length !== values.length || dt <= 0) {
      this.#speeds = new Float32Array(values.length);
      this.#values = values.slice();
      return values.slice();
    }
    const speedWeight = weight(this.#speedCutoff, dt);
    values.forEach((value, i) => {
      const before = last[i] as number;
      const speed = (this.#speeds[i] as number) * (1 - speedWeight) + ((value - before) / dt) * speedWeight;
      this.#speeds[i] = speed;
      last[i] = before + (value - before) * weight(this.#minCutoff + this.#beta * Math.abs(speed), dt);
    });
    return last.slice();
  }

  /** Forgets the past, after a gap. */
  reset(): void {
    this.#values = null;
  }
}

/** Equation 3 of the paper: 1 / (1 + τ / Te), τ = 1 / (2π·cutoff). */
function weight(cutoff: number, dt: number): number {
  return 1 / (1 + 1 / (2 * Math.PI * cutoff * dt));
}
