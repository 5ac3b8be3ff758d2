/** What a session needs of a way to the server; `web/` and `grpc/` are two. */
import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import type { AvatarError } from "./errors.js";
import type { StreamRequest, StreamResponse } from "./gen/avatar_pb.js";

/** How one call is made. */
export interface CallOptions {
  signal?: AbortSignal;
  /** Longest wait for the answer. Unit: milliseconds. */
  timeoutMs?: number;
}

/** What a stream tells of. After `ended` it is silent. */
export interface StreamListener {
  received(response: StreamResponse): void;
  /** There may be room to send again. */
  writable(): void;
  /** The stream is over: null = in order. */
  ended(error: AvatarError | null): void;
}

/** One open stream. */
export interface Stream {
  /** Whether a message sent now would leave at once. */
  readonly writable: boolean;
  send(request: StreamRequest): void;
  /** Ends it; its listener hears no more. Idempotent. */
  close(): void;
}

/** The way to one address. */
export interface Transport {
  readonly address: string;
  /**
   * One unary call.
   *
   * @throws AvatarError what the server raised, ConnectionLostError or TimeoutExceededError; the signal's reason when
   * it aborted.
   */
  call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageShape<Input>,
    options?: CallOptions,
  ): Promise<MessageShape<Output>>;
  /** A new stream. Nothing is told to the listener before this returns. */
  open(listener: StreamListener): Stream;
  /** The way to another address of the same service; "" = this one. */
  at(endpoint: string): Transport;
  /** Frees what it holds. Idempotent. */
  close(): void;
}
