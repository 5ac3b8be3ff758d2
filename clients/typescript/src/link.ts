/**
 * One session's conversation without the network: what to say next, and what an answer means.
 *
 * Every queue has one slot and the newest wins, so nothing can pile up: the pose to send, one merged change, one
 * acknowledgement.
 */
import { create } from "@bufbuild/protobuf";
import type { CloseReason, EventKind, SessionEvent, SessionState } from "./events.js";
import type { Frame } from "./frame.js";
import * as pb from "./gen/avatar_pb.js";
import { controlMessage, merged, type SessionUpdate } from "./options.js";
import { type SessionStatistics, StatisticsRecorder } from "./statistics.js";
import { frameFromMessage } from "./wire.js";

/** The server's wish that the client leaves. */
export interface GoAway {
  /** End the session rather than open a new one. */
  stop: boolean;
  /** Where to go; "" = the same address. */
  endpoint: string;
}

/** A pose or picture of the driver, as a message without its number. */
export type Observation =
  | { case: "pose"; value: Omit<pb.Pose, "seq" | "$typeName"> }
  | { case: "camera"; value: Omit<pb.CameraFrame, "seq" | "$typeName"> };

/** What an answer means to the program. */
export interface Heard {
  frame?: Frame;
  event?: SessionEvent;
}

const STATES: Readonly<Partial<Record<pb.SessionState, SessionState>>> = {
  [pb.SessionState.READY]: "ready",
  [pb.SessionState.GENERATING]: "generating",
  [pb.SessionState.FACE_LOST]: "faceLost",
  [pb.SessionState.RECONNECTING]: "reconnecting",
};
const REASONS: Readonly<Partial<Record<pb.CloseReason, CloseReason>>> = {
  [pb.CloseReason.CLIENT]: "client",
  [pb.CloseReason.IDLE]: "idle",
  [pb.CloseReason.MAX_DURATION]: "maxDuration",
  [pb.CloseReason.RESUME_WINDOW]: "resumeWindow",
  [pb.CloseReason.DRAIN]: "drain",
  [pb.CloseReason.STATE_LOST]: "stateLost",
};
const EVENTS: Readonly<Partial<Record<pb.EventKind, EventKind>>> = {
  [pb.EventKind.FACE_LOST]: "faceLost",
  [pb.EventKind.FACE_FOUND]: "faceFound",
  [pb.EventKind.CALIBRATED]: "calibrated",
  [pb.EventKind.POSE_REJECTED]: "poseRejected",
  [pb.EventKind.PORTRAIT_CHANGED]: "portraitChanged",
  [pb.EventKind.SEVERAL_FACES]: "severalFaces",
  [pb.EventKind.READER_STALLED]: "readerStalled",
  [pb.EventKind.IGNORED_UNKNOWN]: "ignoredUnknown",
};
/** Poses sent without hearing anything back: what the operating system holds of a stuck connection is stale. */
const UNHEARD_POSES = 64;
const SENT_TIMES = 512;

/** What is known and what is to be said; `clock` gives monotonic microseconds. */
export class SessionLink {
  state: SessionState = "connecting";
  closeReason: CloseReason | null = null;
  goAway: GoAway | null = null;
  fps = 0;
  readonly #clock: () => number;
  readonly #statistics = new StatisticsRecorder();
  /** When observation number `seq` was handed over, at `seq % SENT_TIMES`. */
  readonly #handedOverUs = new Float64Array(SENT_TIMES);
  #config: pb.StreamConfig | null = null;
  #ready = false;
  #seq = 0;
  #observation: { seq: number; message: Observation } | null = null;
  #unheardPoses = 0;
  #change: (SessionUpdate & { calibrate?: boolean }) | null = null;
  #standing: SessionUpdate = {};
  #ping = false;
  #ack = 0;
  #framesHeard = 0;
  #lastShown = 0;
  /** Position of a frame among those of the current stream; frames of earlier ones have none. */
  #place = new WeakMap<Frame, number>();

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  // What the program wants

  /** A number for the next observation, which is handed over now. */
  number(): number {
    this.#seq += 1;
    this.#handedOverUs[this.#seq % SENT_TIMES] = this.#clock();
    return this.#seq;
  }

  /** Takes over observation `seq`, unless a newer one came first. */
  observe(seq: number, message: Observation): void {
    const waiting = this.#observation;
    this.#statistics.poseOffered(this.#clock(), waiting !== null);
    if (waiting === null || waiting.seq < seq) {
      this.#observation = { seq, message };
    }
  }

  /** Merges a change into the one waiting; later values win. Throws InvalidConfigError for a value out of range. */
  change(update: SessionUpdate & { calibrate?: boolean }): void {
    controlMessage(update);
    const { calibrate, keyFrame, ...lasting } = update;
    this.#standing = merged(this.#standing, lasting);
    this.#statistics.paused = lasting.paused ?? this.#statistics.paused;
    const again = (calibrate ?? false) || (this.#change?.calibrate ?? false);
    this.#change = {
      ...merged(this.#change ?? {}, { ...lasting, ...(keyFrame !== undefined && { keyFrame }) }),
      ...(again && { calibrate: true }),
    };
  }

  /** `frame` was drawn or taken: the server may send more. Frames of an earlier stream count no more. */
  acknowledge(frame: Frame): void {
    const place = this.#place.get(frame);
    if (place === undefined || place <= this.#lastShown) {
      return;
    }
    const now = this.#clock();
    const latency = frame.latencyUs === null ? null : frame.latencyUs + now - frame.receivedUs;
    this.#statistics.frameShown(now, frame.receivedUs, latency, place - this.#lastShown - 1);
    this.#lastShown = place;
    this.#ack = frame.seq;
  }

  statistics(): SessionStatistics {
    return this.#statistics.snapshot(this.#clock());
  }

  // What the network does

  /** The next stream opens a session that knows of no change made so far. */
  newSession(): void {
    this.#statistics.sessionChanged();
    const again = { ...merged(this.#standing, this.#change ?? {}) };
    this.#change = Object.keys(again).length > 0 ? again : null;
  }

  /** A stream opens: `config` is its first message. */
  begin(config: pb.StreamConfig): void {
    this.#config = { ...config, badge: this.#standing.badge ?? config.badge ?? true };
    this.#ready = false;
    this.#ping = false;
    this.#ack = 0;
    this.#unheardPoses = 0;
    this.#framesHeard = 0;
    this.#lastShown = 0;
    this.#place = new WeakMap();
    this.goAway = null;
    this.closeReason = null;
  }

  /** The stream is gone: what waits for it would be stale on the next one. */
  lost(): void {
    this.#observation = null;
    this.#ready = false;
    this.#ping = false;
  }

  reconnected(): void {
    this.#statistics.reconnects += 1;
  }

  /** The next thing said includes a ping. */
  requestPing(): void {
    this.#ping = this.#ready;
  }

  /** What to send now; null = nothing. Before the server is ready only the configuration goes out. */
  nextRequest(): pb.StreamRequest | null {
    const message = this.#nextMessage();
    return message && create(pb.StreamRequestSchema, { message });
  }

  #nextMessage(): pb.StreamRequest["message"] | null {
    if (this.#config !== null) {
      const value = this.#config;
      this.#config = null;
      return { case: "config", value };
    }
    if (!this.#ready) {
      return null;
    }
    if (this.#change !== null) {
      const value = controlMessage(this.#change);
      this.#change = null;
      return { case: "control", value };
    }
    if (this.#ack !== 0) {
      const value = create(pb.AckSchema, { frameSeq: BigInt(this.#ack) });
      this.#ack = 0;
      return { case: "ack", value };
    }
    if (this.#observation !== null && this.#unheardPoses < UNHEARD_POSES) {
      const { seq, message } = this.#observation;
      this.#observation = null;
      this.#unheardPoses += 1;
      this.#statistics.poseSent();
      return message.case === "pose"
        ? { case: "pose", value: create(pb.PoseSchema, { ...message.value, seq: BigInt(seq) }) }
        : { case: "camera", value: create(pb.CameraFrameSchema, { ...message.value, seq: BigInt(seq) }) };
    }
    if (this.#ping) {
      this.#ping = false;
      const timestampUs = BigInt(this.#clock());
      return {
        case: "ping",
        value: create(pb.PingSchema, { timestampUs, rttUs: this.#statistics.roundTripUs }),
      };
    }
    return null;
  }

  /** Takes in one message; what the program should hear of comes back. */
  receive(response: pb.StreamResponse): Heard {
    this.#unheardPoses = 0;
    const { message } = response;
    switch (message.case) {
      case "frame":
        return { frame: this.#frame(message.value) };
      case "pong":
        this.#statistics.roundTripUs = Math.max(1, this.#clock() - Number(message.value.timestampUs));
        return {};
      case "ready":
        this.#ready = true;
        this.#ping = true;
        this.fps = message.value.fps;
        this.#statistics.targetFps = message.value.fps;
        this.state = STATES[message.value.state] ?? "ready";
        return {};
      case "status":
        if (message.value.state === pb.SessionState.CLOSED) {
          this.closeReason = REASONS[message.value.reason] ?? "unspecified";
        } else {
          this.state = STATES[message.value.state] ?? this.state;
        }
        return {};
      case "event":
        return { event: { kind: EVENTS[message.value.kind] ?? "unknown", message: message.value.message } };
      case "goAway": {
        const { action, endpoint, graceS } = message.value;
        const stop = action === pb.GoAwayAction.CLOSE;
        this.goAway = { stop, endpoint: stop ? "" : endpoint };
        const wish = stop ? "stop" : `go to ${endpoint || "a new session here"}`;
        return { event: { kind: "goAway", message: `the server leaves in ${graceS} s and asks to ${wish}` } };
      }
      default:
        return {};
    }
  }

  #frame(message: pb.Frame): Frame {
    const now = this.#clock();
    const fresh = message.source === pb.MotionSource.POSE;
    const seq = Number(message.poseSeq);
    const known = fresh && seq > 0 && seq <= this.#seq && this.#seq - seq < SENT_TIMES;
    const handedOverUs = this.#handedOverUs[seq % SENT_TIMES] ?? now;
    const frame = frameFromMessage(message, now, known ? now - handedOverUs : null);
    this.#statistics.frameReceived(
      now,
      fresh ? frame.timings.poseToFrameUs : null,
      Number(message.posesDropped),
      Number(message.framesDropped),
    );
    this.#framesHeard += 1;
    this.#place.set(frame, this.#framesHeard);
    return frame;
  }
}
