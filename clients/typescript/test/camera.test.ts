import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CameraError } from "../src/errors.js";
import { Camera } from "../src/tracker/camera.js";

/** A track of a camera that a test can unplug. */
class Track extends EventTarget {
  readyState = "live";
  constructor(
    readonly label: string,
    readonly deviceId: string,
  ) {
    super();
  }
  getSettings() {
    return { deviceId: this.deviceId };
  }
  stop() {
    this.readyState = "ended";
  }
}

const DEVICES = [
  { kind: "videoinput", deviceId: "a", label: "Front Camera" },
  { kind: "videoinput", deviceId: "b", label: "Document Camera" },
  { kind: "audioinput", deviceId: "m", label: "Microphone" },
];
let opened: Track[] = [];

function browser(devices = DEVICES, refusal?: DOMException): void {
  vi.stubGlobal("navigator", {
    mediaDevices: {
      enumerateDevices: async () => devices,
      getUserMedia: async ({ video }: { video: { deviceId?: { exact: string } } }) => {
        if (refusal) {
          throw refusal;
        }
        const wanted = DEVICES.find(({ deviceId }) => deviceId === (video.deviceId?.exact ?? "a"));
        const track = new Track(wanted?.label ?? "", wanted?.deviceId ?? "");
        opened.push(track);
        return { getVideoTracks: () => [track], getTracks: () => [track] };
      },
    },
  });
}

beforeEach(() => {
  opened = [];
  const video = { play: async () => undefined, requestVideoFrameCallback: () => 1, cancelVideoFrameCallback: () => 1 };
  vi.stubGlobal("document", { createElement: () => ({ ...video }), hidden: false });
});
afterEach(() => vi.unstubAllGlobals());

test("a camera is found by a part of its name, in any case", async () => {
  browser();
  const camera = await Camera.open({ camera: "document" });
  expect(camera.label).toBe("Document Camera");
  camera.close();
  expect(opened.map(({ readyState }) => readyState)).toEqual(["ended"]);
});

test("a name that fits none, or several, is answered with the names there are", async () => {
  browser();
  await expect(Camera.open({ camera: "back" })).rejects.toThrow(
    'no camera matches "back"; there are "Front Camera", "Document Camera"',
  );
  await expect(Camera.open({ camera: "camera" })).rejects.toThrow("several cameras match");
  browser([]);
  await expect(Camera.open({ camera: "front" })).rejects.toThrow("this machine has no camera");
});

test.each([
  ["NotAllowedError", "permission was denied"],
  ["NotFoundError", "no camera; plug one in"],
  ["NotReadableError", "taken by another program"],
  ["OverconstrainedError", "not there any more"],
  ["AbortError", "cannot be opened"],
])("%s is said in words, with the browser's own as the cause", async (name, words) => {
  const refusal = new DOMException("no", name);
  browser(DEVICES, refusal);
  const error = await Camera.open().catch((failed: unknown) => failed);
  expect(error).toBeInstanceOf(CameraError);
  expect((error as CameraError).message).toContain(words);
  expect((error as CameraError).cause).toBe(refusal);
});

test("a camera that is unplugged ends with an error, and whoever waits for an image is told", async () => {
  browser();
  const camera = await Camera.open();
  const errors: CameraError[] = [];
  camera.on("error", (error) => errors.push(error));
  const next = camera.next();
  opened[0]?.dispatchEvent(new Event("ended"));
  expect(await next).toBeNull();
  expect(errors.map(({ message }) => message)).toEqual([
    'the camera "Front Camera" was unplugged or taken away; plug it in and start it again',
  ]);
});
