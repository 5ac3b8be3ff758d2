/**
 * The errors of avatar-sdk, the same tree as in the service and its Python client.
 *
 * AvatarError                     base: `code`, `reason`, `retryable`, message with the way out
 * ├── InvalidInputError           something the caller passed is wrong            INVALID_ARGUMENT
 * │   ├── InvalidPortraitError        the image cannot become a portrait
 * │   ├── InvalidPoseError            a pose cannot be used
 * │   ├── InvalidVideoError           a video or `.poses` file cannot be read
 * │   └── InvalidConfigError          an option does not fit
 * ├── ProtocolError               messages in the wrong order or of the wrong kind FAILED_PRECONDITION
 * ├── AuthenticationError         token missing, wrong, expired or used           UNAUTHENTICATED
 * ├── SessionNotFoundError        the session does not exist or has ended         NOT_FOUND
 * ├── SessionBusyError            another stream already drives this session      ALREADY_EXISTS
 * ├── NoCapacityError             every slot is taken                   retryable RESOURCE_EXHAUSTED
 * ├── SessionStateLostError       a step failed; the stream cannot go on          ABORTED
 * ├── ServerDrainingError         the server is shutting down           retryable UNAVAILABLE
 * ├── ConnectionLostError         the transport broke or never came up  retryable UNAVAILABLE
 * ├── TimeoutExceededError        nothing answered in time              retryable DEADLINE_EXCEEDED
 * ├── CameraError                 the camera is missing, taken or silent          FAILED_PRECONDITION
 * └── MissingDependencyError      an optional part is not installed               FAILED_PRECONDITION
 */

/** Name of a gRPC status code. */
export type StatusCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** What else is known about an error. */
export interface ErrorDetails {
  /** The request field at fault, in proto spelling. */
  field?: string;
  /** When known, how long to wait before the next try. Unit: seconds. */
  retryAfterS?: number;
  cause?: unknown;
}

/** Base of every error made on purpose by avatar-sdk. */
export class AvatarError extends Error {
  override readonly name: string = "AvatarError";
  /** gRPC status code this error has on the wire. */
  readonly code: StatusCode = "INTERNAL";
  /** Upper-case word that travels in `google.rpc.ErrorInfo.reason` and names the class. */
  readonly reason: string = "INTERNAL";
  /** Whether the same call can succeed later without a change by the caller. */
  readonly retryable: boolean = false;
  /** The request field at fault, in proto spelling, or "". */
  readonly field: string;
  /** When known, how long to wait before the next try. Unit: seconds. */
  readonly retryAfterS: number | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.field = details.field ?? "";
    this.retryAfterS = details.retryAfterS;
  }
}

/** Something the caller passed is wrong. */
export class InvalidInputError extends AvatarError {
  override readonly name: string = "InvalidInputError";
  override readonly code = "INVALID_ARGUMENT";
  override readonly reason: string = "INVALID_INPUT";
}

/** The image cannot become a portrait. */
export class InvalidPortraitError extends InvalidInputError {
  override readonly name = "InvalidPortraitError";
  override readonly reason = "INVALID_PORTRAIT";
}

/** A pose cannot be used. */
export class InvalidPoseError extends InvalidInputError {
  override readonly name = "InvalidPoseError";
  override readonly reason = "INVALID_POSE";
}

/** A video or `.poses` file cannot be read. */
export class InvalidVideoError extends InvalidInputError {
  override readonly name = "InvalidVideoError";
  override readonly reason = "INVALID_VIDEO";
}

/** An option does not fit. */
export class InvalidConfigError extends InvalidInputError {
  override readonly name = "InvalidConfigError";
  override readonly reason = "INVALID_CONFIG";
}

/** Messages arrived in the wrong order or of the wrong kind. */
export class ProtocolError extends AvatarError {
  override readonly name = "ProtocolError";
  override readonly code = "FAILED_PRECONDITION";
  override readonly reason = "PROTOCOL";
}

/** The token is missing, wrong, expired or used already. */
export class AuthenticationError extends AvatarError {
  override readonly name = "AuthenticationError";
  override readonly code = "UNAUTHENTICATED";
  override readonly reason = "UNAUTHENTICATED";
}

/** The session does not exist or has ended. */
export class SessionNotFoundError extends AvatarError {
  override readonly name = "SessionNotFoundError";
  override readonly code = "NOT_FOUND";
  override readonly reason = "SESSION_NOT_FOUND";
}

/** Another stream already drives this session. */
export class SessionBusyError extends AvatarError {
  override readonly name = "SessionBusyError";
  override readonly code = "ALREADY_EXISTS";
  override readonly reason = "SESSION_BUSY";
}

/** Every slot of the server is taken. */
export class NoCapacityError extends AvatarError {
  override readonly name = "NoCapacityError";
  override readonly code = "RESOURCE_EXHAUSTED";
  override readonly reason = "NO_CAPACITY";
  override readonly retryable = true;
}

/** A step failed, so the stream's state cannot be trusted any more; start a new session. */
export class SessionStateLostError extends AvatarError {
  override readonly name = "SessionStateLostError";
  override readonly code = "ABORTED";
  override readonly reason = "SESSION_STATE_LOST";
}

/** The server is shutting down and takes no new work. */
export class ServerDrainingError extends AvatarError {
  override readonly name = "ServerDrainingError";
  override readonly code = "UNAVAILABLE";
  override readonly reason = "SERVER_DRAINING";
  override readonly retryable = true;
}

/** The transport broke or never came up. */
export class ConnectionLostError extends AvatarError {
  override readonly name = "ConnectionLostError";
  override readonly code = "UNAVAILABLE";
  override readonly reason = "CONNECTION_LOST";
  override readonly retryable = true;
}

/** Nothing answered in time. */
export class TimeoutExceededError extends AvatarError {
  override readonly name = "TimeoutExceededError";
  override readonly code = "DEADLINE_EXCEEDED";
  override readonly reason = "TIMEOUT";
  override readonly retryable = true;
}

/** The camera is missing, taken or silent. */
export class CameraError extends AvatarError {
  override readonly name = "CameraError";
  override readonly code = "FAILED_PRECONDITION";
  override readonly reason = "CAMERA";
}

/** An optional part is not installed; the message says which. */
export class MissingDependencyError extends AvatarError {
  override readonly name = "MissingDependencyError";
  override readonly code = "FAILED_PRECONDITION";
  override readonly reason = "MISSING_DEPENDENCY";
}

/** Class of every error: made from a message and details. */
export type ErrorClass = new (message: string, details?: ErrorDetails) => AvatarError;

const CLASSES: Readonly<Record<string, ErrorClass>> = {
  INTERNAL: AvatarError,
  INVALID_INPUT: InvalidInputError,
  INVALID_PORTRAIT: InvalidPortraitError,
  INVALID_POSE: InvalidPoseError,
  INVALID_VIDEO: InvalidVideoError,
  INVALID_CONFIG: InvalidConfigError,
  PROTOCOL: ProtocolError,
  UNAUTHENTICATED: AuthenticationError,
  SESSION_NOT_FOUND: SessionNotFoundError,
  SESSION_BUSY: SessionBusyError,
  NO_CAPACITY: NoCapacityError,
  SESSION_STATE_LOST: SessionStateLostError,
  SERVER_DRAINING: ServerDrainingError,
  CONNECTION_LOST: ConnectionLostError,
  TIMEOUT: TimeoutExceededError,
  CAMERA: CameraError,
  MISSING_DEPENDENCY: MissingDependencyError,
};

/** The class a reason stands for, so that a client throws what the server raised; undefined for an unknown one. */
export function errorClass(reason: string): ErrorClass | undefined {
  return Object.hasOwn(CLASSES, reason) ? CLASSES[reason] : undefined;
}
