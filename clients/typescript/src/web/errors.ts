/** Failures of HTTP calls and WebSockets as the classes the server raised. */
import { base64Decode } from "@bufbuild/protobuf/wire";
import { codeName, errorFromCode, errorFromDetails, lost } from "../error_wire.js";
import { type AvatarError, errorClass, InvalidInputError, type StatusCode } from "../errors.js";
import type { StreamError } from "../gen/avatar_pb.js";

/** A failed call of the Connect protocol. */
interface ConnectError {
  code?: string;
  message?: string;
  details?: { type: string; value: string }[];
}

/** What an answer means that no service gave, by the Connect protocol's table. */
const BY_HTTP_STATUS: Readonly<Record<number, StatusCode>> = {
  400: "INTERNAL",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "UNIMPLEMENTED",
  408: "DEADLINE_EXCEEDED",
  413: "INVALID_ARGUMENT",
  429: "UNAVAILABLE",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "UNAVAILABLE",
};
/** Close codes of a failed stream are this plus the gRPC status number. */
const STREAM_FAILED = 4000;
/** 1001: the server shuts down; its last messages said so. */
const IN_ORDER: readonly number[] = [1000, 1001];
const TOO_BIG = 1009;

/** The error of an answer whose status is not 200. `body` is its text. */
export function errorFromAnswer(status: number, body: string, address: string): AvatarError {
  const said = connectError(body);
  const code = said?.code?.toUpperCase() as StatusCode | undefined;
  if (said === null || code === undefined) {
    const nearest = BY_HTTP_STATUS[status] ?? "UNKNOWN";
    return errorFromCode(nearest, `HTTP ${status} ${body.slice(0, 200)}`.trim(), address);
  }
  const message = said.message ?? "";
  const details = (said.details ?? []).map(({ type, value }) => ({ type, value: base64Decode(value) }));
  return errorFromDetails(message, details) ?? errorFromCode(code, message, address);
}

function connectError(body: string): ConnectError | null {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" ? (parsed as ConnectError | null) : null;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return null; // something between us and the service answered
    }
    throw error;
  }
}

/** Why a WebSocket closed; null = in order. `said` is the stream's last message, where it was an error. */
export function errorFromClose(
  code: number,
  reason: string,
  said: StreamError | null,
  address: string,
): AvatarError | null {
  if (said !== null) {
    const kind = errorClass(said.reason);
    const { field } = said;
    if (kind !== undefined) {
      return new kind(said.message, { field, ...(said.retryAfterS > 0 && { retryAfterS: said.retryAfterS }) });
    }
  }
  const word = said?.message || reason || `close code ${code}`;
  if (code > STREAM_FAILED && code <= STREAM_FAILED + 16) {
    return errorFromCode(codeName(code - STREAM_FAILED), word, address);
  }
  if (code === TOO_BIG) {
    return new InvalidInputError(`${address} refused a message that is too large (${word})`, { field: "message" });
  }
  return IN_ORDER.includes(code) && said === null ? null : lost(address, word);
}
