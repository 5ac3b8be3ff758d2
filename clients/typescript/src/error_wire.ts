/** Errors as they travel, and the classes they stand for. */
import { fromBinary } from "@bufbuild/protobuf";
import {
  AuthenticationError,
  AvatarError,
  ConnectionLostError,
  type ErrorClass,
  errorClass,
  InvalidInputError,
  NoCapacityError,
  ProtocolError,
  SessionBusyError,
  SessionNotFoundError,
  SessionStateLostError,
  type StatusCode,
  TimeoutExceededError,
} from "./errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/errors_pb.js";

/** One `google.rpc` detail: the name of its type, and its bytes. */
export interface ErrorDetail {
  type: string;
  value: Uint8Array;
}

/** Codes of gRPC by number; 0 is OK, which is no error. */
const CODES: readonly StatusCode[] = [
  "UNKNOWN",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** For peers between client and server that know nothing of our reasons. */
const BY_CODE: Readonly<Partial<Record<StatusCode, ErrorClass>>> = {
  UNAVAILABLE: ConnectionLostError,
  CANCELLED: ConnectionLostError,
  INTERNAL: ConnectionLostError, // gRPC's own word for a stream that was reset
  DEADLINE_EXCEEDED: TimeoutExceededError,
  UNAUTHENTICATED: AuthenticationError,
  PERMISSION_DENIED: AuthenticationError,
  RESOURCE_EXHAUSTED: NoCapacityError,
  INVALID_ARGUMENT: InvalidInputError,
  NOT_FOUND: SessionNotFoundError,
  ALREADY_EXISTS: SessionBusyError,
  ABORTED: SessionStateLostError,
  FAILED_PRECONDITION: ProtocolError,
  UNIMPLEMENTED: ProtocolError,
};

/** The name of a gRPC status number. */
export function codeName(number: number): StatusCode {
  return CODES[number] ?? "UNKNOWN";
}

/** The error a server raised, restored from its details; undefined when they name none that this client knows. */
export function errorFromDetails(message: string, details: readonly ErrorDetail[]): AvatarError | undefined {
  let reason = "";
  let field = "";
  let retryAfterS: number | undefined;
  for (const { type, value } of details) {
    if (type === ErrorInfoSchema.typeName) {
      reason = fromBinary(ErrorInfoSchema, value).reason;
    } else if (type === BadRequestSchema.typeName) {
      field = fromBinary(BadRequestSchema, value).fieldViolations[0]?.field ?? "";
    } else if (type === RetryInfoSchema.typeName) {
      const delay = fromBinary(RetryInfoSchema, value).retryDelay;
      retryAfterS = delay && Number(delay.seconds) + delay.nanos / 1e9;
    }
  }
  const kind = errorClass(reason);
  return kind && new kind(message, { field, ...(retryAfterS !== undefined && { retryAfterS }) });
}

/** The nearest error by status code; `said` is the peer's own word. */
export function errorFromCode(code: StatusCode, said: string, address: string): AvatarError {
  const kind = BY_CODE[code] ?? AvatarError;
  if (kind === ConnectionLostError) {
    return lost(address, said);
  }
  if (kind === TimeoutExceededError) {
    return timedOut(address, said);
  }
  if (code === "UNIMPLEMENTED") {
    return new ProtocolError(`${address} does not speak avatar.v1 (${said}); check address and versions`);
  }
  return new kind(`${address} answered ${code}: ${said}`);
}

/** The transport broke or never came up. */
export function lost(address: string, said: string, cause?: unknown): ConnectionLostError {
  return new ConnectionLostError(
    `the connection to ${address} broke or never came up (${said}); is \`avatar serve\` running there?`,
    { cause },
  );
}

/** Nothing answered in time. */
export function timedOut(address: string, said: string): TimeoutExceededError {
  return new TimeoutExceededError(`${address} did not answer in time (${said}); check the address, or raise timeoutMs`);
}
