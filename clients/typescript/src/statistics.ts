/** Live figures of a session, and what they say. */

/** How well the avatar follows its driver. */
export type Quality = "good" | "fair" | "poor";

/**
 * What holds the session back.
 *
 * "driver": poses come more slowly than frames could. "client": frames are taken too slowly here. "network": the way
 * there and back is slow or full. "server": it makes frames too slowly.
 */
export type Limit = "none" | "network" | "server" | "client" | "driver";

/** A snapshot. Rates are over the last 5 s, latencies over the last 240 frames that show a new pose. */
export interface SessionStatistics {
  /** Frames received a second. */
  fps: number;
  /** From `send` to the moment the frame was drawn or taken; null = nothing measured yet. Unit: milliseconds. */
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
  /** The server's share of it: from the parsed pose to the frame's write. Unit: milliseconds. */
  serverP50Ms: number | null;
  /** The last ping's. Unit: milliseconds. */
  rttMs: number | null;
  framesReceived: number;
  /** Drawn or taken by the program. */
  framesShown: number;
  /** Not made by the server because its frames were not acknowledged in time, or passed over here for a newer one. */
  framesDropped: number;
  posesSent: number;
  /** Replaced by a newer pose before they were sent, or passed over or refused by the server. */
  posesDropped: number;
  /** Streams taken up again. */
  reconnects: number;
  quality: Quality;
  limitedBy: Limit;
}

/** What a verdict is made of. Rates are per second, times in milliseconds. */
export interface Figures {
  /** What the server aims for. */
  targetFps: number;
  /** Frames received that show a new pose. */
  freshFps: number;
  /** Poses the program handed over. */
  poseRate: number;
  /** Share of them that could not be sent in time. Range: [0, 1]. */
  posesHeldBack: number;
  /** Share of received frames that was passed over here. Range: [0, 1]. */
  framesPassedOver: number;
  latencyP95: number | null;
  serverP95: number | null;
  /** From a frame's arrival to the moment it was drawn or taken. */
  holdP95: number | null;
  rtt: number | null;
}

const GOOD = { share: 0.9, latencyMs: 200 };
const FAIR = { share: 0.6, latencyMs: 400 };
const TOO_MANY = 0.1;
const SLOW_HOLD_MS = 60;
const SLOW_ROUND_TRIP_MS = 150;

/** Quality by the rate and the delay of frames that follow the driver, and the cause that explains most of a lack. */
export function verdict(figures: Figures): { quality: Quality; limitedBy: Limit } {
  const share = figures.targetFps > 0 ? figures.freshFps / figures.targetFps : 0;
  const delay = figures.latencyP95 ?? 0;
  const reaches = (level: { share: number; latencyMs: number }) => share >= level.share && delay <= level.latencyMs;
  if (reaches(GOOD)) {
    return { quality: "good", limitedBy: "none" };
  }
  return { quality: reaches(FAIR) ? "fair" : "poor", limitedBy: limit(figures, delay) };
}

function limit(figures: Figures, delay: number): Limit {
  if (figures.poseRate < GOOD.share * figures.targetFps) {
    return "driver";
  }
  const hold = figures.holdP95 ?? 0;
  if (figures.framesPassedOver > TOO_MANY || hold > Math.max(SLOW_HOLD_MS, delay / 2)) {
    return "client";
  }
  const server = figures.serverP95 ?? 0;
  const onTheWay = Math.max(0, delay - server - hold);
  if (figures.posesHeldBack > TOO_MANY || (figures.rtt ?? 0) > SLOW_ROUND_TRIP_MS || onTheWay > Math.max(server, 100)) {
    return "network";
  }
  return "server";
}

const RATE_WINDOW_US = 5_000_000;
const SAMPLES = 240;

/** The newest 240 numbers. */
class Samples {
  readonly #values: number[] = [];
  #next = 0;

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % SAMPLES;
  }

  /** Newest first is not needed: counts those that `accept` takes. */
  filter(accept: (value: number) => boolean): number[] {
    return this.#values.filter(accept);
  }

  /** Linear between neighbours; null without samples. Unit: milliseconds, of samples in microseconds. */
  percentileMs(share: number): number | null {
    const sorted = Float64Array.from(this.#values).sort();
    if (sorted.length === 0) {
      return null;
    }
    const place = share * (sorted.length - 1);
    const low = sorted[Math.floor(place)] ?? 0;
    const high = sorted[Math.ceil(place)] ?? low;
    return (low + (high - low) * (place - Math.floor(place))) / 1000;
  }
}

/** Moments, and how many of them there were a second lately. */
class Rate {
  readonly #times = new Samples();

  add(nowUs: number): void {
    this.#times.add(nowUs);
  }

  perSecond(nowUs: number): number {
    const recent = this.#times.filter((time) => nowUs - time <= RATE_WINDOW_US);
    const span = nowUs - Math.min(...recent);
    return recent.length > 1 && span > 0 ? ((recent.length - 1) * 1e6) / span : 0;
  }

  count(nowUs: number): number {
    return this.#times.filter((time) => nowUs - time <= RATE_WINDOW_US).length;
  }
}

/** Collects what `SessionStatistics` tells. Times are `monotonicUs()`. */
export class StatisticsRecorder {
  targetFps = 24;
  roundTripUs = 0;
  reconnects = 0;
  /** Whether no frames are wanted, so that there is nothing to judge. */
  paused = false;
  #framesReceived = 0;
  #framesShown = 0;
  #framesPassedOver = 0;
  #posesSent = 0;
  #posesHeldBack = 0;
  #server = { poses: 0, frames: 0 };
  readonly #earlierSessions = { poses: 0, frames: 0 };
  readonly #received = new Rate();
  readonly #fresh = new Rate();
  readonly #passedOver = new Rate();
  readonly #offered = new Rate();
  readonly #heldBack = new Rate();
  readonly #latency = new Samples();
  readonly #serverTime = new Samples();
  readonly #hold = new Samples();

  /** The program handed over a pose; `superseded` tells whether an older one was still waiting. */
  poseOffered(nowUs: number, superseded: boolean): void {
    this.#offered.add(nowUs);
    if (superseded) {
      this.#posesHeldBack += 1;
      this.#heldBack.add(nowUs);
    }
  }

  poseSent(): void {
    this.#posesSent += 1;
  }

  /** A frame arrived; `poseToFrameUs` is null when no new pose drove it, the others count from the session's start. */
  frameReceived(nowUs: number, poseToFrameUs: number | null, posesDropped: number, framesDropped: number): void {
    this.#framesReceived += 1;
    this.#received.add(nowUs);
    if (poseToFrameUs !== null) {
      this.#fresh.add(nowUs);
      this.#serverTime.add(poseToFrameUs);
    }
    this.#server = { poses: posesDropped, frames: framesDropped };
  }

  /** A frame was drawn or taken after `passedOver` others were not. */
  frameShown(nowUs: number, receivedUs: number, latencyUs: number | null, passedOver: number): void {
    this.#framesShown += 1;
    this.#framesPassedOver += passedOver;
    for (let count = 0; count < passedOver; count += 1) {
      this.#passedOver.add(nowUs);
    }
    this.#hold.add(nowUs - receivedUs);
    if (latencyUs !== null) {
      this.#latency.add(latencyUs);
    }
  }

  /** The server counts from zero again. */
  sessionChanged(): void {
    this.#earlierSessions.poses += this.#server.poses;
    this.#earlierSessions.frames += this.#server.frames;
    this.#server = { poses: 0, frames: 0 };
  }

  /** The figures now. */
  snapshot(nowUs: number): SessionStatistics {
    const share = (part: Rate, whole: Rate) => part.count(nowUs) / Math.max(1, whole.count(nowUs));
    const rtt = this.roundTripUs > 0 ? this.roundTripUs / 1000 : null;
    const judged =
      this.#framesReceived === 0 || this.paused
        ? { quality: "good" as const, limitedBy: "none" as const }
        : verdict({
            targetFps: this.targetFps,
            freshFps: this.#fresh.perSecond(nowUs),
            poseRate: this.#offered.perSecond(nowUs),
            posesHeldBack: share(this.#heldBack, this.#offered),
            framesPassedOver: share(this.#passedOver, this.#received),
            latencyP95: this.#latency.percentileMs(0.95),
            serverP95: this.#serverTime.percentileMs(0.95),
            holdP95: this.#hold.percentileMs(0.95),
            rtt,
          });
    return {
      fps: this.#received.perSecond(nowUs),
      latencyP50Ms: this.#latency.percentileMs(0.5),
      latencyP95Ms: this.#latency.percentileMs(0.95),
      serverP50Ms: this.#serverTime.percentileMs(0.5),
      rttMs: rtt,
      framesReceived: this.#framesReceived,
      framesShown: this.#framesShown,
      framesDropped: this.#framesPassedOver + this.#server.frames + this.#earlierSessions.frames,
      posesSent: this.#posesSent,
      posesDropped: this.#posesHeldBack + this.#server.poses + this.#earlierSessions.poses,
      reconnects: this.reconnects,
      ...judged,
    };
  }
}
