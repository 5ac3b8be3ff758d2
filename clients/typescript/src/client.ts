/** The way into a service: what it can do, and sessions on it. */
import { create } from "@bufbuild/protobuf";
import { unlessAborted } from "./abort.js";
import { Backoff, type ReconnectOptions } from "./backoff.js";
import type { Encoding } from "./frame.js";
import { AvatarService, GetServerInfoRequestSchema } from "./gen/avatar_pb.js";
import { createRequest, type SessionOptions, streamConfig } from "./options.js";
import { AvatarSession } from "./session.js";
import type { CallOptions, Transport } from "./transport.js";
import { VERSION } from "./version.js";
import { encodingNames } from "./wire.js";

/** What a server can do and how full it is. */
export interface ServerInfo {
  /** Of the service, semantic versioning. */
  version: string;
  /** Preset or checkpoint, e.g. "lite", "warp". */
  model: string;
  /** Training stages of the checkpoint; empty = untrained, so that the output is the warp. */
  trainedStages: readonly string[];
  /** Unit: pixels. */
  width: number;
  /** Unit: pixels. */
  height: number;
  /** Rate of the frame clock. */
  fps: number;
  maxSessions: number;
  freeSessions: number;
  encodings: readonly Encoding[];
  maxPortraitBytes: number;
  /** Whether it is shutting down. */
  draining: boolean;
}

/** What every client is given, whatever its transport. */
export interface BaseClientOptions {
  /** What happens after a broken stream; default: it is taken up again. */
  reconnect?: ReconnectOptions;
}

/** A client over any transport; the entries of this package give it theirs. */
export class BaseClient {
  readonly #transport: Transport;
  readonly #backoff: Backoff;

  constructor(transport: Transport, options: BaseClientOptions) {
    this.#transport = transport;
    this.#backoff = new Backoff(options.reconnect);
  }

  /**
   * What the server can do and how full it is.
   *
   * @throws ConnectionLostError nothing answers.
   */
  async serverInfo(options: CallOptions = {}): Promise<ServerInfo> {
    const request = create(GetServerInfoRequestSchema);
    const answer = await this.#transport.call(AvatarService.method.getServerInfo, request, options);
    return {
      version: answer.version,
      model: answer.model,
      trainedStages: answer.trainedStages,
      width: answer.widthPx,
      height: answer.heightPx,
      fps: answer.fps,
      maxSessions: answer.maxSessions,
      freeSessions: answer.freeSessions,
      encodings: encodingNames(answer.encodings),
      maxPortraitBytes: answer.maxPortraitBytes,
      draining: answer.draining,
    };
  }

  /**
   * A live avatar of a photo, once its stream is open. End it with `close`.
   *
   * @throws InvalidConfigError consent was not declared, or an option is out of range.
   * @throws InvalidPortraitError the photo cannot become a portrait.
   * @throws NoCapacityError every slot is taken.
   * @throws ConnectionLostError nothing answers.
   */
  async createSession(options: SessionOptions): Promise<AvatarSession> {
    const { signal } = options;
    signal?.throwIfAborted();
    const config = streamConfig(options);
    config.userAgent = `avatar-client-typescript/${VERSION}`;
    const request = await createRequest(options);
    signal?.throwIfAborted();
    const recreate = options.recreate ?? true;
    const session = new AvatarSession({ request, config, backoff: this.#backoff, recreate }, this.#transport);
    await openedUnless(signal, session);
    return session;
  }

  /** Closes connections that wait for use; sessions are ended by their own `close`. Idempotent. */
  close(): void {
    this.#transport.close();
  }
}

/** Waits for the session to open; when `signal` aborts first, the session is ended behind the caller's back. */
async function openedUnless(signal: AbortSignal | undefined, session: AvatarSession): Promise<void> {
  try {
    await unlessAborted(session.opened(), signal);
  } catch (error) {
    const closed = session.close();
    if (!signal?.aborted) {
      await closed;
    }
    throw error;
  }
}
