/** The client for Node: gRPC, both ways at once. */
import { BaseClient, type BaseClientOptions } from "./client.js";
import { GrpcTransport, type GrpcTransportOptions } from "./grpc/transport.js";
import type { Transport } from "./transport.js";

export type { PemFile, TlsOptions } from "./grpc/tls.js";
export { GrpcTransport, type GrpcTransportOptions } from "./grpc/transport.js";
export * from "./shared.js";

/** How a Node program's client reaches the service. */
export interface ClientOptions extends BaseClientOptions, GrpcTransportOptions {
  /** A way of your own to the service, in place of gRPC. */
  transport?: Transport;
}

/**
 * A service, reached from Node.
 *
 * ```ts
 * const client = new AvatarClient("127.0.0.1:50051");
 * const session = await client.createSession({ portrait: await readFile("me.jpg"), consent: true });
 * session.send(pose);
 * for await (const frame of session) await show(frame.data);
 * ```
 */
export class AvatarClient extends BaseClient {
  /**
   * Connects on first use.
   *
   * @param address "host:port" of the service's gRPC port.
   * @throws InvalidConfigError a TLS file cannot be read.
   */
  constructor(address = "localhost:50051", options: ClientOptions = {}) {
    super(options.transport ?? new GrpcTransport(address, options), options);
  }
}
