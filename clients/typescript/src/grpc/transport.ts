/** The way from Node: gRPC, both ways at once. */
import { type DescMessage, type DescMethodUnary, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { codeName, errorFromCode, errorFromDetails } from "../error_wire.js";
import { AvatarError } from "../errors.js";
import { AvatarService, type StreamRequest, StreamRequestSchema, StreamResponseSchema } from "../gen/avatar_pb.js";
import { StatusSchema } from "../gen/errors_pb.js";
import { fetched, type Token } from "../token.js";
import type { CallOptions, Stream, StreamListener, Transport } from "../transport.js";
import { credentials, type TlsOptions } from "./tls.js";

/** How the gRPC transport reaches the service. */
export interface GrpcTransportOptions {
  /** The server's key, or a function that fetches a token for one call. */
  token?: Token;
  /** Encryption; absent = none, for servers on this machine. */
  tls?: TlsOptions;
  /** Longest wait for the answer to a call, connecting included. Default: 15000. Unit: milliseconds. */
  timeoutMs?: number;
}

/** Low delay rather than throughput. */
const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  "grpc.enable_retries": 0,
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.max_receive_message_length": 8 << 20,
  "grpc.max_send_message_length": 18 << 20,
  "grpc.initial_reconnect_backoff_ms": 300,
  "grpc.max_reconnect_backoff_ms": 7_000,
  "grpc.use_local_subchannel_pool": 1,
};
/** Messages that were handed to gRPC and are not on their way yet; more wait here, where the newest wins. */
const UNDER_WAY = 2;
const DETAILS = "grpc-status-details-bin";

/** The service at "host:port". */
export class GrpcTransport implements Transport {
  readonly address: string;
  readonly #options: GrpcTransportOptions;
  readonly #client: grpc.Client;
  readonly #others = new Map<string, GrpcTransport>();

  /**
   * @param address "host:port".
   * @throws InvalidConfigError a TLS file cannot be read.
   */
  constructor(address: string, options: GrpcTransportOptions = {}) {
    this.address = address;
    this.#options = options;
    const named = options.tls?.serverName ? { "grpc.ssl_target_name_override": options.tls.serverName } : {};
    this.#client = new grpc.Client(address, credentials(options.tls), { ...CHANNEL_OPTIONS, ...named });
  }

  async call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageShape<Input>,
    options: CallOptions = {},
  ): Promise<MessageShape<Output>> {
    const { signal } = options;
    signal?.throwIfAborted();
    const metadata = await this.#metadata(signal);
    signal?.throwIfAborted();
    const deadline = Date.now() + (options.timeoutMs ?? this.#options.timeoutMs ?? 15_000);
    return new Promise((resolve, reject) => {
      const abort = () => call.cancel();
      const call = this.#client.makeUnaryRequest(
        pathOf(method),
        (message: MessageShape<Input>) => asBuffer(toBinary(method.input, message)),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        request,
        metadata,
        { deadline },
        (failure, answer) => {
          signal?.removeEventListener("abort", abort);
          if (failure === null && answer !== undefined) {
            resolve(answer);
          } else {
            reject(signal?.aborted ? signal.reason : errorFromFailure(failure, this.address));
          }
        },
      );
      signal?.addEventListener("abort", abort);
    });
  }

  open(listener: StreamListener): Stream {
    return new GrpcStream(this.#client, this.#metadata(), this.address, listener);
  }

  at(endpoint: string): Transport {
    if (endpoint === "" || endpoint === this.address) {
      return this;
    }
    const other = this.#others.get(endpoint) ?? new GrpcTransport(endpoint, this.#options);
    this.#others.set(endpoint, other);
    return other;
  }

  close(): void {
    this.#client.close();
    for (const other of this.#others.values()) {
      other.close();
    }
  }

  async #metadata(signal?: AbortSignal): Promise<grpc.Metadata> {
    const metadata = new grpc.Metadata();
    const { token } = this.#options;
    if (token) {
      metadata.set("authorization", `Bearer ${await fetched(token, signal)}`);
    }
    return metadata;
  }
}

/** A gRPC call as a stream; it begins once its metadata is there. */
class GrpcStream implements Stream {
  #call: grpc.ClientDuplexStream<StreamRequest, unknown> | null = null;
  #underWay = 0;
  #over = false;
  readonly #listener: StreamListener;

  constructor(client: grpc.Client, metadata: Promise<grpc.Metadata>, address: string, listener: StreamListener) {
    this.#listener = listener;
    metadata.then(
      (ready) => {
        if (!this.#over) {
          this.#begin(client, ready, address);
        }
      },
      (error: unknown) =>
        this.#end(error instanceof AvatarError ? error : new AvatarError(String(error), { cause: error })),
    );
  }

  get writable(): boolean {
    return this.#call !== null && !this.#over && this.#underWay < UNDER_WAY;
  }

  send(request: StreamRequest): void {
    this.#underWay += 1;
    this.#call?.write(request, () => {
      this.#underWay -= 1;
      if (!this.#over) {
        this.#listener.writable();
      }
    });
  }

  close(): void {
    this.#over = true;
    this.#call?.cancel();
  }

  #begin(client: grpc.Client, metadata: grpc.Metadata, address: string): void {
    const call = client.makeBidiStreamRequest(
      pathOf(AvatarService.method.stream),
      (message: StreamRequest) => asBuffer(toBinary(StreamRequestSchema, message)),
      (bytes: Buffer) => fromBinary(StreamResponseSchema, bytes),
      metadata,
    );
    this.#call = call;
    call.on("data", (response) => {
      if (!this.#over) {
        this.#listener.received(response);
      }
    });
    call.on("error", (failure: grpc.ServiceError) => this.#end(errorFromFailure(failure, address)));
    call.on("end", () => this.#end(null)); // after "error", where there is one
    this.#listener.writable();
  }

  #end(error: AvatarError | null): void {
    if (!this.#over) {
      this.#over = true;
      this.#listener.ended(error);
    }
  }
}

function pathOf(method: { parent: { typeName: string }; name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The error the server raised, restored from `google.rpc.Status`; else the nearest by status code. */
function errorFromFailure(failure: grpc.ServiceError | null, address: string): AvatarError {
  const code = codeName(failure?.code ?? grpc.status.UNKNOWN);
  const [details] = failure?.metadata?.get(DETAILS) ?? [];
  if (details instanceof Uint8Array) {
    const status = fromBinary(StatusSchema, details);
    const named = status.details.map(({ typeUrl, value }) => ({ type: typeUrl.replace(/^.*\//, ""), value }));
    const restored = errorFromDetails(status.message, named);
    if (restored !== undefined) {
      return restored;
    }
  }
  return errorFromCode(code, failure?.details || code, address);
}
