/** What both entries of the package export. */
export type { ReconnectOptions } from "./backoff.js";
export type { BaseClientOptions, ServerInfo } from "./client.js";
export { monotonicUs } from "./clock.js";
export { Emitter } from "./emitter.js";
export {
  AuthenticationError,
  AvatarError,
  CameraError,
  ConnectionLostError,
  type ErrorDetails,
  errorClass,
  InvalidConfigError,
  InvalidInputError,
  InvalidPortraitError,
  InvalidPoseError,
  InvalidVideoError,
  MissingDependencyError,
  NoCapacityError,
  ProtocolError,
  ServerDrainingError,
  SessionBusyError,
  SessionNotFoundError,
  SessionStateLostError,
  type StatusCode,
  TimeoutExceededError,
} from "./errors.js";
export type { CloseReason, EventKind, SessionClose, SessionEvent, SessionEvents, SessionState } from "./events.js";
export type { Encoding, Frame, MotionSource, Timings } from "./frame.js";
export type { Background, Gains, ImageFile, Neutral, SessionOptions, SessionUpdate } from "./options.js";
export {
  BODY_LENGTH,
  COORDINATE_LIMIT,
  FACE_LENGTH,
  HANDS_LENGTH,
  type Landmark,
  type Pose,
  poseFromLandmarks,
} from "./pose.js";
export { type PoseFile, readPoseFile } from "./pose_file.js";
export type { FrameReader } from "./readers.js";
export type { AvatarSession } from "./session.js";
export type { SessionInfo } from "./session_info.js";
export type { Limit, Quality, SessionStatistics } from "./statistics.js";
export type { Token } from "./token.js";
export type { CallOptions, Stream, StreamListener, Transport } from "./transport.js";
export { VERSION } from "./version.js";
export type { ViewOptions } from "./view/canvas.js";
