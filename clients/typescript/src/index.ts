/** The client for browsers: unary calls over HTTP, the stream over WebSocket. */
import { BaseClient, type BaseClientOptions } from "./client.js";
import type { Transport } from "./transport.js";
import { WebTransport, type WebTransportOptions } from "./web/transport.js";

export * from "./shared.js";
export { WebTransport, type WebTransportOptions } from "./web/transport.js";

/** How a browser's client reaches the service. */
export interface ClientOptions extends BaseClientOptions, WebTransportOptions {
  /** A way of your own to the service, in place of HTTP and WebSocket. */
  transport?: Transport;
}

/**
 * A service, reached from a page.
 *
 * ```ts
 * const session = await new AvatarClient(location.origin).createSession({ portrait, consent: true });
 * session.attach(canvas);
 * tracker.on("pose", (pose) => session.send(pose));
 * ```
 */
export class AvatarClient extends BaseClient {
  /**
   * Connects on first use.
   *
   * @param address Of the service's web port, e.g. "http://127.0.0.1:8080".
   * @throws InvalidConfigError it is no HTTP address.
   */
  constructor(address: string, options: ClientOptions = {}) {
    super(options.transport ?? new WebTransport(address, options), options);
  }
}
