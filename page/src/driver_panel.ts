/** Which camera moves the avatar, and where it is tracked. */
import { PoseTracker } from "@avatar-sdk/client/tracker";
import { element } from "./elements.js";
import type { PageInfo } from "./server_page.js";

/** What is chosen. `camera` is a device id, "" = the browser's choice. */
export type DriverChoice = { kind: "demo" } | { kind: "tracked" | "server"; camera: string };

const HINTS = {
  demo: "A recorded driver moves the avatar; no camera is used.",
  tracked: "Your picture stays in this page: only landmarks of your face are sent.",
  server: "Pictures of you are sent to the server, which finds your face in them. It keeps none.",
  untracked:
    "Cameras cannot be used here: the tracker's files are not installed on the server, and it does not track by itself. " +
    "Whoever runs it installs them with “make page”, or starts it with --server-tracking.",
  fallback: "The tracker's files are not installed on this server, so your pictures would be tracked there.",
};

/** The list of drivers. */
export class DriverPanel {
  readonly #select = element("driver", HTMLSelectElement);
  readonly #hint = element("driver-hint", HTMLElement);
  #info: PageInfo | null = null;

  /** @param changed Another driver was chosen. */
  constructor(changed: () => void) {
    this.#select.addEventListener("change", () => {
      this.#explain();
      changed();
    });
    navigator.mediaDevices?.addEventListener?.("devicechange", () => void this.refresh());
  }

  get choice(): DriverChoice {
    const [kind = "demo", camera = ""] = split(this.#select.value);
    return kind === "tracked" || kind === "server" ? { kind, camera } : { kind: "demo" };
  }

  /** What the server can do decides what is offered. */
  set info(info: PageInfo | null) {
    this.#info = info;
    void this.refresh();
  }

  /** Chooses by itself, e.g. the way out that a notice offers. */
  choose(kind: DriverChoice["kind"]): void {
    const option = [...this.#select.options].find(({ value }) => split(value)[0] === kind);
    if (option) {
      this.#select.value = option.value;
      this.#explain();
    }
  }

  /** Reads the cameras anew: their names are known once one was allowed. */
  async refresh(): Promise<void> {
    const cameras = await PoseTracker.cameras().catch(() => []);
    const before = this.#select.value;
    const groups: HTMLElement[] = [];
    const known = cameras.length > 0 ? cameras : [{ deviceId: "", label: "" }];
    if (this.#info?.tracker_assets) {
      groups.push(group("Tracked in this page", "tracked", known));
    }
    if (this.#info?.server_tracking) {
      groups.push(group("Tracked by the server", "server", known));
    }
    groups.push(option("demo", "Demo drive (no camera)"));
    this.#select.replaceChildren(...groups);
    const values = [...this.#select.options].map(({ value }) => value);
    const [kind] = split(before);
    this.#select.value =
      (values.includes(before) ? before : undefined) ??
      values.find((value) => before && split(value)[0] === kind) ??
      values.find((value) => split(value)[0] === "tracked") ??
      "demo";
    this.#explain();
  }

  #explain(): void {
    const { kind } = this.choice;
    const missing = this.#info !== null && !this.#info.tracker_assets;
    const none = missing && !this.#info?.server_tracking;
    const extra = kind === "demo" && missing ? ` ${none ? HINTS.untracked : HINTS.fallback}` : "";
    this.#hint.textContent = HINTS[kind] + extra;
  }
}

function split(value: string): [string, string] {
  const at = value.indexOf(":");
  return at < 0 ? [value, ""] : [value.slice(0, at), value.slice(at + 1)];
}

function group(label: string, kind: string, cameras: { deviceId: string; label: string }[]): HTMLElement {
  const made = document.createElement("optgroup");
  made.label = label;
  made.append(
    ...cameras.map((camera, index) =>
      option(`${kind}:${camera.deviceId}`, camera.label || (cameras.length > 1 ? `Camera ${index + 1}` : "Camera")),
    ),
  );
  return made;
}

function option(value: string, label: string): HTMLOptionElement {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = label;
  return made;
}
