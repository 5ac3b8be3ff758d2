/** The way from a browser: unary calls by the Connect protocol over HTTP, the stream over WebSocket. */
import { type DescMessage, type DescMethodUnary, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { lost, timedOut } from "../error_wire.js";
import { InvalidConfigError } from "../errors.js";
import { AvatarService } from "../gen/avatar_pb.js";
import { fetched, type Token } from "../token.js";
import type { CallOptions, Stream, StreamListener, Transport } from "../transport.js";
import { errorFromAnswer } from "./errors.js";
import { SocketStream } from "./socket.js";

/** How the web transport reaches the service. */
export interface WebTransportOptions {
  /** The server's key, or a function that fetches a short-lived token for one call. */
  token?: Token;
  /** Longest wait for the answer to a call. Default: 15000. Unit: milliseconds. */
  timeoutMs?: number;
  /** In place of the global ones, for environments that have none. */
  fetch?: typeof fetch;
  webSocket?: typeof WebSocket;
}

const PROTO = "application/proto";
/** These carry their session's own token, so none is fetched for them. */
const AUTHORISED_BY_SESSION: ReadonlySet<string> = new Set([
  AvatarService.method.updateSession.name,
  AvatarService.method.deleteSession.name,
]);

/** The service at an HTTP address. */
export class WebTransport implements Transport {
  readonly address: string;
  readonly #base: URL;
  readonly #options: WebTransportOptions;

  /**
   * @param address "http://host:port" or "https://…"; a path is kept, for services behind a proxy.
   * @throws InvalidConfigError it is no such address.
   */
  constructor(address: string, options: WebTransportOptions = {}) {
    const base = URL.canParse(address) ? new URL(address) : null;
    if (base === null || !/^https?:$/.test(base.protocol)) {
      throw new InvalidConfigError(
        `the address is ${JSON.stringify(address)}; it must begin with http:// or https://`,
        {
          field: "address",
        },
      );
    }
    base.pathname = base.pathname.replace(/\/?$/, "/");
    this.address = address;
    this.#base = base;
    this.#options = options;
  }

  async call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageShape<Input>,
    options: CallOptions = {},
  ): Promise<MessageShape<Output>> {
    const { signal } = options;
    signal?.throwIfAborted();
    const cut = new AbortController();
    const abort = () => cut.abort(signal?.reason);
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? 15_000;
    const late = timedOut(this.address, `nothing came for ${timeoutMs / 1000} s`);
    const timer = setTimeout(() => cut.abort(late), timeoutMs);
    signal?.addEventListener("abort", abort);
    try {
      const headers = {
        "Content-Type": PROTO,
        "Connect-Protocol-Version": "1",
        ...(await this.#authorization(method, cut.signal)),
      };
      const ask = this.#options.fetch ?? globalThis.fetch;
      const answer = await ask(new URL(`${method.parent.typeName}/${method.name}`, this.#base), {
        method: "POST",
        headers,
        body: toBinary(method.input, request) as Uint8Array<ArrayBuffer>,
        signal: cut.signal,
        keepalive: method.name === AvatarService.method.deleteSession.name, // also while the page goes away
      });
      if (answer.status === 200 && answer.headers.get("Content-Type") === PROTO) {
        return fromBinary(method.output, new Uint8Array(await answer.arrayBuffer()));
      }
      throw errorFromAnswer(answer.status, await answer.text(), this.address);
    } catch (error) {
      cut.signal.throwIfAborted();
      throw error instanceof TypeError ? lost(this.address, `${error.message}${this.#elsewhere()}`, error) : error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  open(listener: StreamListener): Stream {
    const url = new URL("v1/stream", this.#base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new SocketStream(url, this.address, this.#options.webSocket ?? globalThis.WebSocket, listener);
  }

  at(endpoint: string): Transport {
    if (endpoint === "") {
      return this;
    }
    const address = /^https?:/.test(endpoint) ? endpoint : `${this.#base.protocol}//${endpoint}`;
    return new WebTransport(address, this.#options);
  }

  close(): void {
    // connections of `fetch` are the browser's
  }

  /** A hint for pages of another origin, whose browser does not say why it refuses. */
  #elsewhere(): string {
    const here = globalThis.location?.origin;
    return here === undefined || here === this.#base.origin ? "" : `; \`--allow-origin ${here}\` lets this page call`;
  }

  async #authorization(method: { name: string }, signal: AbortSignal): Promise<{ Authorization?: string }> {
    const { token } = this.#options;
    if (!token || AUTHORISED_BY_SESSION.has(method.name)) {
      return {};
    }
    return { Authorization: `Bearer ${await fetched(token, signal)}` };
  }
}
