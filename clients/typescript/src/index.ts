/** The client for browsers: unary calls over HTTP, the stream over WebSocket. */
export { monotonicUs } from "./clock.js";
export { Emitter } from "./emitter.js";
export * from "./errors.js";
export type * from "./events.js";
export type * from "./frame.js";
export * from "./pose.js";
