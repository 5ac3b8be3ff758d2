/** The driver's side in a browser: camera → poses, or camera → pictures for a server that tracks. */
export { Camera, type CameraEvents, type CameraInfo, type CameraOptions, listCameras } from "./camera.js";
export type { FinderOptions } from "./finder.js";
export { type CameraJpeg, JpegCamera, type JpegCameraEvents, type JpegCameraOptions } from "./jpeg_camera.js";
export type { Backend, Delegate } from "./messages.js";
export { OneEuro, type OneEuroOptions } from "./one_euro.js";
export { PoseTracker, type TrackerEvents, type TrackerOptions, type TrackerStats } from "./tracker.js";
