/** One live avatar: poses out, frames in. */
import { create } from "@bufbuild/protobuf";
import { monotonicUs } from "./clock.js";
import { Emitter } from "./emitter.js";
import { AvatarError, ConnectionLostError, InvalidConfigError, InvalidInputError } from "./errors.js";
import type { CloseReason, SessionEvent, SessionEvents, SessionState } from "./events.js";
import type { Frame } from "./frame.js";
import * as pb from "./gen/avatar_pb.js";
import { SessionLink } from "./link.js";
import { type ImageFile, portraitBytes, requireConsent, type SessionUpdate } from "./options.js";
import { checkPose, type Pose } from "./pose.js";
import { type FrameReader, FrameReaders } from "./readers.js";
import { type RunnerOptions, SessionRunner } from "./runner.js";
import { infoOf, type SessionInfo } from "./session_info.js";
import type { SessionStatistics } from "./statistics.js";
import type { Transport } from "./transport.js";
import { drawOnto, type ViewOptions } from "./view/canvas.js";
import { AvatarTrack, playOn } from "./view/track.js";
import { observationOf } from "./wire.js";

const EARLY_EVENTS = 16;
const MAX_CAMERA_BYTES = 250 * 1024;

/**
 * One live avatar; made by `AvatarClient.createSession`.
 *
 * `send` never waits, and whoever reads gets the newest frame each time: using a frame is what lets the server send
 * more. A broken stream is taken up again by itself, in the same session or, where the server has lost it, in a new
 * one with the same portrait and options.
 */
export class AvatarSession extends Emitter<SessionEvents> implements AsyncIterable<Frame> {
  readonly #link = new SessionLink(monotonicUs);
  readonly #readers = new FrameReaders((frame) => this.#used(frame));
  readonly #runner: SessionRunner;
  readonly #running: Promise<void>;
  readonly #encoding: pb.Encoding;
  #opened: (() => void) | null = null;
  #shownState: SessionState = "connecting";
  /** What happened before anybody could listen. */
  #early: SessionEvent[] | null = [];
  #error: AvatarError | null = null;
  #over = false;
  #closing: Promise<void> | null = null;

  /** Use `AvatarClient.createSession`. */
  constructor(options: RunnerOptions, transport: Transport) {
    super();
    this.#encoding = options.config.encoding;
    this.#runner = new SessionRunner(this.#link, options, transport, {
      frame: (frame) => this.#arrived(frame),
      event: (event) => this.#happened(event),
      moved: () => this.#moved(),
      ticked: () => {
        if (this.heard("stats")) {
          this.emit("stats", this.stats());
        }
      },
    });
    this.#running = this.#run();
  }

  /**
   * Waits until the first stream is open; `createSession` has done so.
   *
   * @throws AvatarError what kept it from opening.
   */
  async opened(): Promise<void> {
    const ready = new Promise<void>((resolve) => {
      this.#opened = resolve;
    });
    this.#moved();
    await Promise.race([ready, this.#running]);
    if (!this.#runner.wasReady && this.#error !== null) {
      throw this.#error;
    }
  }

  /** Calls `listener` at every `name` from now on; the first of "event" also hears what happened while it was opened. */
  override on<Name extends keyof SessionEvents>(
    name: Name,
    listener: (value: SessionEvents[Name]) => unknown,
  ): () => void {
    const off = super.on(name, listener);
    const early = this.#early;
    if (name === "event" && early !== null) {
      this.#early = null;
      for (const event of early) {
        this.emit("event", event);
      }
    }
    return off;
  }

  /** Where the session stands. */
  get state(): SessionState {
    return this.#shownState;
  }

  /** Why it ended; null while it lives. */
  get closeReason(): CloseReason | null {
    return this.#over ? (this.#link.closeReason ?? "unspecified") : null;
  }

  /**
   * The session on the server.
   *
   * @throws ConnectionLostError there is none at the moment.
   */
  get info(): SessionInfo {
    return infoOf(this.#created(), this.#link.fps);
  }

  /**
   * Hands over the newest pose and returns at once with the number it bears in `Frame.poseSeq`; 0 = the session is
   * over. A pose that could not be sent yet is replaced.
   *
   * @throws InvalidPoseError naming the part at fault.
   */
  send(pose: Pose): number {
    checkPose(pose);
    if (this.#over) {
      return 0;
    }
    const seq = this.#link.number();
    this.#link.observe(seq, observationOf(pose));
    this.#runner.wake();
    return seq;
  }

  /**
   * Hands over a picture of the driver instead of a pose, for servers that track; otherwise as `send`.
   *
   * @param jpeg Not mirrored, at most 250 KiB.
   * @param timestampUs Monotonic capture time. Must increase. Unit: microseconds.
   * @throws InvalidInputError for a picture that is too large.
   */
  sendCamera(jpeg: Blob | Uint8Array, timestampUs: number = monotonicUs()): number {
    const size = jpeg instanceof Uint8Array ? jpeg.byteLength : jpeg.size;
    if (size === 0 || size > MAX_CAMERA_BYTES) {
      throw new InvalidInputError(
        `the camera picture has ${size} bytes; it must have 1 to ${MAX_CAMERA_BYTES}: make it smaller than 1280 pixels, or lower its quality`,
        { field: "camera.image" },
      );
    }
    if (this.#over) {
      return 0;
    }
    const seq = this.#link.number();
    const handOver = (image: Uint8Array) => {
      this.#link.observe(seq, { case: "camera", value: { timestampUs: BigInt(Math.round(timestampUs)), image } });
      this.#runner.wake();
    };
    if (jpeg instanceof Uint8Array) {
      handOver(jpeg.slice());
    } else {
      jpeg.arrayBuffer().then((buffer) => handOver(new Uint8Array(buffer)));
    }
    return seq;
  }

  /** Takes the neutral pose from the next second of poses. */
  calibrate(): void {
    this.#link.change({ calibrate: true });
    this.#runner.wake();
  }

  /**
   * Changes the session from the next frames on, without waiting; also across a reconnection.
   *
   * @throws InvalidConfigError for a value out of range.
   */
  update(update: SessionUpdate): void {
    this.#link.change(update);
    this.#runner.wake();
  }

  /**
   * Shows another portrait from the next frames on; the driver's calibration stays.
   *
   * @throws InvalidPortraitError the photo cannot become a portrait; the old one stays.
   * @throws InvalidConfigError consent was not declared.
   * @throws ConnectionLostError there is no session at the moment.
   */
  async replacePortrait(
    portrait: ImageFile,
    options: { consent: boolean; signal?: AbortSignal },
  ): Promise<SessionInfo> {
    requireConsent(options.consent);
    const bytes = await portraitBytes(portrait);
    const created = this.#created();
    const { sessionId, resumeToken } = created;
    const request = create(pb.UpdateSessionRequestSchema, { sessionId, resumeToken, portrait: bytes, consent: true });
    const { signal } = options;
    const answer = await this.#runner.transport.call(
      pb.AvatarService.method.updateSession,
      request,
      signal === undefined ? {} : { signal },
    );
    this.#runner.request.portrait = bytes; // a session made anew shows the new one too
    created.faces = answer.faces;
    created.affine = answer.affine;
    return this.info;
  }

  /** Live figures: rates, latencies, drops, and a verdict. */
  stats(): SessionStatistics {
    return this.#link.statistics();
  }

  /**
   * The newest frame each time, until the session ends or `signal` aborts. The body of the loop is what sets the pace.
   *
   * @throws AvatarError the session broke and could not be taken up again.
   */
  async *frames(options: { signal?: AbortSignal } = {}): AsyncGenerator<Frame, void, undefined> {
    const { signal } = options;
    signal?.throwIfAborted();
    const reader = this.#readers.open();
    const stop = () => reader.close();
    signal?.addEventListener("abort", stop);
    try {
      for (let frame = await reader.next(); frame !== null; frame = await reader.next()) {
        yield frame;
      }
      signal?.throwIfAborted();
      if (this.#error !== null) {
        throw this.#error;
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      reader.close();
    }
  }

  /** `frames()`. */
  [Symbol.asyncIterator](): AsyncGenerator<Frame, void, undefined> {
    return this.frames();
  }

  /** A reader of your own, for a loop that is not `for await`. */
  reader(): FrameReader {
    return this.#readers.open();
  }

  /**
   * Shows the avatar in a canvas or video element until the returned function is called or the session ends. A canvas
   * is filled as `object-fit: cover` fills, at the screen's resolution.
   *
   * @throws InvalidConfigError the session's encoding is not one that browsers draw.
   */
  attach(element: HTMLCanvasElement | HTMLVideoElement, options: ViewOptions = {}): () => void {
    // by name, for an element of another window is no instance of this one's classes
    if (element.tagName === "CANVAS") {
      return drawOnto(element as HTMLCanvasElement, this.#pictures(), options);
    }
    return playOn(element as HTMLVideoElement, this.#pictures());
  }

  /**
   * The avatar as a video track for RTCPeerConnection, LiveKit, Daily, Jitsi or a recorder; it goes on in a hidden tab.
   * Stopping the track ends it.
   *
   * @param fps Most frames a second.
   * @throws InvalidConfigError the session's encoding is not one that browsers draw.
   */
  captureStream(fps = 24): MediaStream {
    return new AvatarTrack(this.#pictures(), fps).stream;
  }

  /** Ends the session and frees its slot. Idempotent; a server that is gone is no error. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (!this.#over) {
      this.#link.closeReason = "client";
      this.#runner.stop();
      this.#ended(null);
      await this.#running; // a session that is being created must be known before it can be deleted
    }
    if (this.#link.closeReason === "client" || this.#link.closeReason === "failed") {
      try {
        await this.#runner.delete();
      } catch (error) {
        if (!(error instanceof AvatarError)) {
          throw error;
        }
        // a server that is gone has freed the slot already, or will by itself
      }
    }
  }

  #pictures(): FrameReader {
    if (this.#encoding === pb.Encoding.H264) {
      throw new InvalidConfigError('the session\'s encoding is "h264"; create it with "jpeg" to see it in a page', {
        field: "encoding",
      });
    }
    return this.#readers.open();
  }

  #created(): pb.CreateSessionResponse {
    if (this.#runner.created === null) {
      throw new ConnectionLostError("there is no session at the moment; wait for the state to be ready");
    }
    return this.#runner.created;
  }

  #happened(event: SessionEvent): void {
    if (this.#early === null) {
      this.emit("event", event);
    } else if (this.#early.length < EARLY_EVENTS) {
      this.#early.push(event);
    }
  }

  #arrived(frame: Frame): void {
    this.emit("frame", frame);
    this.#readers.put(frame);
    if (this.#readers.empty && this.heard("frame")) {
      this.#readers.use(frame);
    }
  }

  #used(frame: Frame): void {
    this.#link.acknowledge(frame);
    this.#runner.wake();
  }

  #moved(): void {
    if (this.#runner.wasReady) {
      this.#opened?.();
    }
    if (!this.#over && this.#link.state !== this.#shownState) {
      this.#shownState = this.#link.state;
      this.emit("state", this.#shownState);
    }
  }

  /** Settles when the runner has; never rejects. */
  async #run(): Promise<void> {
    try {
      await this.#runner.run();
      this.#ended(null);
    } catch (error) {
      this.#ended(error instanceof AvatarError ? error : new AvatarError(String(error), { cause: error }));
    }
  }

  #ended(error: AvatarError | null): void {
    if (this.#over) {
      return;
    }
    if (error !== null) {
      this.#link.closeReason = error.reason === "SESSION_STATE_LOST" ? "stateLost" : "failed";
    }
    this.#error = error;
    this.#link.state = "closed";
    this.#moved();
    this.#over = true;
    this.#readers.end();
    if (error !== null) {
      this.emit("error", error);
    }
    const reason = this.#link.closeReason ?? "unspecified";
    this.emit("close", error === null ? { reason } : { reason, error });
  }
}
