/** The life of a session's stream: created, opened, kept alive, taken up again after a break. */
import { create } from "@bufbuild/protobuf";
import { type Backoff, pause } from "./backoff.js";
import {
  AvatarError,
  ConnectionLostError,
  ServerDrainingError,
  SessionBusyError,
  SessionNotFoundError,
  SessionStateLostError,
} from "./errors.js";
import type { SessionEvent } from "./events.js";
import type { Frame } from "./frame.js";
import * as pb from "./gen/avatar_pb.js";
import type { SessionLink } from "./link.js";
import type { Stream, Transport } from "./transport.js";

const PING_MS = 1000;
/** A server that says nothing after so many pings is gone, whatever its socket says. */
const PATIENCE_PINGS = 10;
/** A stream with no room asks again after this, for WebSocket does not tell. Unit: milliseconds. */
const ROOM_MS = 5;
const DELETE_TIMEOUT_MS = 2000;

/** What the runner tells of. */
export interface RunnerListener {
  frame(frame: Frame): void;
  event(event: SessionEvent): void;
  /** The link's state may have changed. */
  moved(): void;
  /** Once a second while a stream is open. */
  ticked(): void;
}

/** How a session is opened and kept. */
export interface RunnerOptions {
  request: pb.CreateSessionRequest;
  config: pb.StreamConfig;
  backoff: Backoff;
  recreate: boolean;
}

/** A break that is not over yet. */
interface Outage {
  sinceMs: number;
  attempt: number;
  recreated: boolean;
}

/** Moves what `SessionLink` says over the network until the session ends. */
export class SessionRunner {
  /** The server's answer about the session in use; null while there is none. */
  created: pb.CreateSessionResponse | null = null;
  /** What a session is created with; a new portrait goes here too. */
  readonly request: pb.CreateSessionRequest;
  /** Whether a stream was open once. */
  wasReady = false;
  readonly #link: SessionLink;
  readonly #options: RunnerOptions;
  readonly #listener: RunnerListener;
  readonly #home: Transport;
  readonly #stopped = new AbortController();
  #transport: Transport;
  #endpoint = "";
  #outage: Outage | null = null;
  #stream: Stream | null = null;
  #pumping = false;
  #roomTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(link: SessionLink, options: RunnerOptions, transport: Transport, listener: RunnerListener) {
    this.request = options.request;
    this.#link = link;
    this.#options = options;
    this.#listener = listener;
    this.#home = transport;
    this.#transport = transport;
  }

  /** The way to the server that holds, or will hold, the session. */
  get transport(): Transport {
    return this.#transport;
  }

  /**
   * Returns when the session has ended or `stop` was called; the link knows why.
   *
   * @throws AvatarError it could not begin, or broke and could not be taken up again.
   */
  async run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      try {
        const created = this.created ?? (await this.#create());
        if (this.#stopped.signal.aborted) {
          return;
        }
        await this.#converse(created);
        return;
      } catch (error) {
        if (this.#stopped.signal.aborted) {
          return;
        }
        if (!(error instanceof AvatarError)) {
          throw error;
        }
        if (this.#link.goAway?.stop) {
          this.#link.closeReason = "drain";
          return;
        }
        await this.#waitToRetry(error);
      }
    }
  }

  /** Ends `run` without a word to the server. */
  stop(): void {
    this.#stopped.abort();
  }

  /**
   * Frees the session's slot.
   *
   * @throws AvatarError the server could not be told.
   */
  async delete(): Promise<void> {
    const created = this.created;
    this.created = null;
    if (created !== null) {
      const { sessionId, resumeToken } = created;
      const request = create(pb.DeleteSessionRequestSchema, { sessionId, resumeToken });
      await this.#transport.call(pb.AvatarService.method.deleteSession, request, { timeoutMs: DELETE_TIMEOUT_MS });
    }
  }

  /** There is something to send. */
  readonly wake = (): void => {
    const stream = this.#stream;
    if (stream === null || this.#pumping) {
      return;
    }
    this.#pumping = true;
    try {
      while (stream === this.#stream && stream.writable) {
        const request = this.#link.nextRequest();
        if (request === null) {
          return;
        }
        stream.send(request);
      }
    } finally {
      this.#pumping = false;
    }
    clearTimeout(this.#roomTimer);
    this.#roomTimer = setTimeout(this.wake, ROOM_MS);
  };

  async #create(): Promise<pb.CreateSessionResponse> {
    // until an answer arrives, the same key: a session whose answer got lost must not hold a second slot
    this.request.idempotencyKey ||= newKey();
    const created = await this.#transport.call(pb.AvatarService.method.createSession, this.request);
    this.created = created;
    this.request.idempotencyKey = "";
    this.#moveTo(created.endpoint);
    this.#link.newSession();
    if (this.#outage !== null) {
      this.#outage.recreated = true;
    }
    return created;
  }

  /** One stream from its first message to its end. */
  async #converse(created: pb.CreateSessionResponse): Promise<void> {
    const { sessionId, resumeToken } = created;
    this.#link.begin({ ...this.#options.config, sessionId, resumeToken });
    let unanswered = 0;
    try {
      await new Promise<void>((resolve, reject) => {
        const ended = (error: unknown) => {
          clearInterval(timer);
          this.#stopped.signal.removeEventListener("abort", ended);
          error instanceof Error ? reject(error) : resolve();
        };
        const timer = setInterval(() => {
          // counted, not timed: this program itself may have been asleep
          if (unanswered === PATIENCE_PINGS) {
            ended(new ConnectionLostError(`${this.#transport.address} has answered none of ${PATIENCE_PINGS} pings`));
            return;
          }
          unanswered += 1;
          this.#link.requestPing();
          this.wake();
          this.#listener.ticked();
        }, PING_MS);
        this.#stopped.signal.addEventListener("abort", ended);
        const listener = {
          received: (response: pb.StreamResponse) => {
            unanswered = 0;
            try {
              this.#take(response);
            } catch (error) {
              ended(error);
            }
            if (this.#link.goAway?.endpoint) {
              ended(null); // another server is ready now; without an address this one may go on for its grace
            }
            this.wake();
          },
          writable: this.wake,
          ended,
        };
        try {
          this.#stream = this.#transport.open(listener);
          this.wake();
        } catch (error) {
          ended(error);
        }
      });
    } finally {
      clearTimeout(this.#roomTimer);
      this.#stream?.close();
      this.#stream = null;
      this.#link.lost();
    }
    if (!this.#stopped.signal.aborted) {
      this.#checkEnd();
    }
  }

  #take(response: pb.StreamResponse): void {
    const { frame, event } = this.#link.receive(response);
    if (response.message.case === "ready") {
      this.#opened();
    }
    this.#listener.moved();
    if (event !== undefined) {
      this.#listener.event(event);
    }
    if (frame !== undefined) {
      this.#listener.frame(frame);
    }
  }

  /** The session is, or will be, at another address; "" = where it was. */
  #moveTo(endpoint: string): void {
    this.#endpoint = endpoint || this.#endpoint;
    this.#transport = this.#home.at(this.#endpoint);
  }

  #opened(): void {
    this.wasReady = true;
    const outage = this.#outage;
    this.#outage = null;
    if (outage !== null) {
      const { attempt } = outage;
      this.#link.reconnected();
      this.#listener.moved();
      this.#listener.event({
        kind: outage.recreated ? "recreated" : "resumed",
        message: `after ${attempt} ${attempt === 1 ? "try" : "tries"}`,
        attempt,
      });
    }
  }

  /** A stream that ended in order: did the session end too? */
  #checkEnd(): void {
    const reason = this.#link.closeReason;
    const { address } = this.#transport;
    if (reason === "stateLost") {
      throw new SessionStateLostError("a step failed on the server, so this session cannot go on; start a new one");
    }
    if (this.#link.goAway !== null || reason === "drain") {
      this.#link.closeReason = null;
      throw new ServerDrainingError(`the server at ${address} shuts down`);
    }
    if (reason === null) {
      throw new ConnectionLostError(`the server at ${address} ended the stream without a reason`);
    }
  }

  /** Waits before the next try, or throws `error` when there is to be none. */
  async #waitToRetry(error: AvatarError): Promise<void> {
    const { backoff, recreate } = this.#options;
    const lost = error instanceof SessionNotFoundError || this.#link.goAway !== null;
    if (!this.wasReady || !backoff.enabled || (lost && !recreate)) {
      throw error;
    }
    if (lost) {
      this.created = null;
      this.#moveTo(this.#link.goAway?.endpoint ?? "");
    } else if (!error.retryable && !(error instanceof SessionBusyError)) {
      throw error; // busy may pass: our old stream is not noticed yet
    }
    const now = performance.now();
    this.#outage ??= { sinceMs: now, attempt: 0, recreated: false };
    const outage = this.#outage;
    outage.attempt += 1;
    const delayMs = backoff.delayMs(outage.attempt, error.retryAfterS);
    if (now + delayMs - outage.sinceMs > backoff.giveUpAfterMs) {
      throw error;
    }
    this.#link.state = "reconnecting";
    this.#listener.moved();
    this.#listener.event({ kind: "reconnecting", message: error.message, error, attempt: outage.attempt, delayMs });
    await pause(delayMs, this.#stopped.signal);
  }
}

/** 128 random bits; `crypto.randomUUID` exists on secure pages only. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
