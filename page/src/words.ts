/** What went wrong, said to people. */
import {
  AuthenticationError,
  AvatarError,
  CameraError,
  type CloseReason,
  ConnectionLostError,
  InvalidPortraitError,
  type Limit,
  MissingDependencyError,
  NoCapacityError,
  ServerDrainingError,
  TimeoutExceededError,
} from "@avatar-sdk/client";

/** What a notice offers besides reading it. */
export type Way = "again" | "demo" | "server-tracking" | "token" | "portrait";

/** A notice. */
export interface Words {
  title: string;
  text: string;
  ways: Way[];
}

/** An error as title, text and ways out. */
export function wordsFor(error: unknown): Words {
  const text = error instanceof Error ? sentence(error.message) : sentence(String(error));
  if (error instanceof CameraError) {
    return { title: "No picture of you", text, ways: ["again", "demo"] };
  }
  if (error instanceof NoCapacityError) {
    const soon = error.retryAfterS === undefined ? "" : ` Try again in ${Math.ceil(error.retryAfterS)} s.`;
    return { title: "Every avatar here is taken", text: text + soon, ways: ["again"] };
  }
  if (error instanceof AuthenticationError) {
    return { title: "This server needs a token", text, ways: ["token"] };
  }
  if (error instanceof InvalidPortraitError) {
    return { title: "This portrait does not work", text, ways: ["portrait"] };
  }
  if (error instanceof MissingDependencyError) {
    return { title: "The tracker cannot run here", text, ways: ["server-tracking", "demo"] };
  }
  if (error instanceof ServerDrainingError) {
    return { title: "The server is shutting down", text, ways: ["again"] };
  }
  if (error instanceof TimeoutExceededError) {
    return { title: "The server takes too long", text: "It may be very busy. Try again in a moment.", ways: ["again"] };
  }
  if (error instanceof ConnectionLostError) {
    const where = "Nothing answers at this page's address any more. Is “avatar serve” still running?";
    return { title: "The server is gone", text: where, ways: ["again"] };
  }
  return { title: error instanceof AvatarError ? "That did not work" : "The page broke", text, ways: ["again"] };
}

/** Why an avatar ended that nobody stopped here; "" where an error says more. */
export function wordsForEnd(reason: CloseReason): string {
  const words: Partial<Record<CloseReason, string>> = {
    idle: "Nothing moved it for a while, so its place was given free.",
    maxDuration: "Its time was up.",
    resumeWindow: "The connection was gone for too long.",
    drain: "The server was shut down.",
    stateLost: "The server lost its state; start it anew.",
  };
  return words[reason] ?? "";
}

/** What holds the avatar back. */
export function wordsForLimit(limit: Limit): string {
  return {
    none: "It follows you as fast as it can.",
    network: "The way to the server is slow or full.",
    server: "The server makes frames too slowly; fewer sessions or a faster machine help.",
    client: "This browser shows frames too slowly; close other tabs.",
    driver: "Poses come too slowly: more light, a faster machine, or tracking by the server help.",
  }[limit];
}

function sentence(message: string): string {
  const trimmed = message.trim();
  const start = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}
