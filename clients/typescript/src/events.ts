/** What a session says about itself besides frames. */
import type { AvatarError } from "./errors.js";
import type { Frame } from "./frame.js";
import type { SessionStatistics } from "./statistics.js";

/**
 * Where a session stands, as the client sees it.
 *
 * "connecting": no stream yet. "ready": waiting for the first pose. "generating": frames follow the driver.
 * "faceLost": no face for a while, the avatar idles. "reconnecting": the stream broke and is being taken up again.
 * "closed": over.
 */
export type SessionState = "connecting" | "ready" | "generating" | "faceLost" | "reconnecting" | "closed";

/**
 * Why a session ended.
 *
 * "client": asked for here. "idle": no pose for the idle limit. "maxDuration": its time was up. "resumeWindow": no
 * stream came back in time. "drain": the server shut down. "stateLost": a step failed. "failed": the stream broke and
 * could not be taken up again; the error tells more. "unspecified": a newer server's reason.
 */
export type CloseReason =
  | "client"
  | "idle"
  | "maxDuration"
  | "resumeWindow"
  | "drain"
  | "stateLost"
  | "failed"
  | "unspecified";

/**
 * What happened.
 *
 * From the server: "faceLost", "faceFound", "calibrated", "poseRejected" (`message` says why), "portraitChanged",
 * "severalFaces" (the largest is used), "readerStalled" (frames were not taken, the server waits until they are),
 * "ignoredUnknown" (the server did not know a message of this client), "unknown" (an event of a newer server).
 * From the client: "reconnecting" (the stream broke with `error`; try `attempt` follows in `delayMs`), "resumed" (the
 * stream goes on in the same session), "recreated" (the old session was gone: a new one with the same portrait and
 * options goes on), "goAway" (the server asked to leave; the session moves by itself unless it was told to stop).
 */
export type EventKind =
  | "faceLost"
  | "faceFound"
  | "calibrated"
  | "poseRejected"
  | "portraitChanged"
  | "severalFaces"
  | "readerStalled"
  | "ignoredUnknown"
  | "unknown"
  | "reconnecting"
  | "resumed"
  | "recreated"
  | "goAway";

/** One thing that happened. */
export interface SessionEvent {
  kind: EventKind;
  /** For people. */
  message: string;
  /** What broke, for "reconnecting". */
  error?: AvatarError;
  /** Number of the next try, from 1, for "reconnecting"; tries it took, for "resumed" and "recreated". */
  attempt?: number;
  /** Time until that try, for "reconnecting". Unit: milliseconds. */
  delayMs?: number;
}

/** How a session ended. */
export interface SessionClose {
  reason: CloseReason;
  /** What broke, for "failed" and "stateLost". */
  error?: AvatarError;
}

/** What listeners of a session are given. */
export interface SessionEvents {
  /** Every frame as it comes. With nobody else reading, a frame counts as used when its listeners return. */
  frame: Frame;
  state: SessionState;
  event: SessionEvent;
  /** Once a second. */
  stats: SessionStatistics;
  close: SessionClose;
  /** What ended the session, just before "close". */
  error: AvatarError;
}
