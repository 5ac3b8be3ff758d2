import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Frame } from "../src/index.js";
import { FrameReaders } from "../src/readers.js";
import { drawOnto, placed } from "../src/view/canvas.js";
import { AvatarTrack, Thinning } from "../src/view/track.js";
import { eventually } from "./scripted_server.js";

/** A page with nothing in it but what a view touches. */
class Page {
  visibilityState = "visible";
  readonly defaultView = { devicePixelRatio: 2 };
  readonly drawn: { seq: number; box: number[] }[] = [];
  /** CSS size; null = the canvas has none, so that it is as large as its pixels. */
  css: { width: number; height: number } | null = { width: 100, height: 50 };

  canvas(): HTMLCanvasElement {
    const pixels = { width: 300, height: 150 };
    return Object.defineProperties(pixels, {
      ownerDocument: { value: this },
      clientWidth: { get: () => this.css?.width ?? pixels.width },
      clientHeight: { get: () => this.css?.height ?? pixels.height },
      getContext: {
        value: () => ({ drawImage: ({ seq }: { seq: number }, ...box: number[]) => this.drawn.push({ seq, box }) }),
      },
    }) as unknown as HTMLCanvasElement;
  }
}

const acknowledged: number[] = [];
let decoding: { seq: number; finish: (damaged?: boolean) => void }[] = [];
let page: Page;
let readers: FrameReaders;

beforeEach(() => {
  acknowledged.length = 0;
  decoding = [];
  page = new Page();
  readers = new FrameReaders(({ seq }) => acknowledged.push(seq));
  vi.stubGlobal("createImageBitmap", async (source: Blob) => {
    const seq = Number(await source.text());
    return new Promise((resolve, reject) => {
      decoding.push({
        seq,
        finish: (damaged) =>
          damaged
            ? reject(new DOMException("damaged", "InvalidStateError"))
            : resolve({ seq, width: 64, height: 64, close() {} }),
      });
    });
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function frame(seq: number): Frame {
  const data = new TextEncoder().encode(String(seq)) as Uint8Array<ArrayBuffer>;
  return { seq, data, encoding: "jpeg", width: 64, height: 64, timestampUs: seq * 41_667 } as Frame;
}

async function finish(index: number, damaged?: boolean): Promise<void> {
  await eventually(() => decoding.length > index);
  decoding[index]?.finish(damaged);
}

describe("a picture in a canvas", () => {
  test("covers it, or fits into it, and stays centred", () => {
    expect(placed({ width: 10, height: 10 }, { width: 40, height: 20 }, "cover")).toEqual({
      x: 0,
      y: -10,
      width: 40,
      height: 40,
    });
    expect(placed({ width: 10, height: 10 }, { width: 40, height: 20 }, "contain")).toEqual({
      x: 10,
      y: 0,
      width: 20,
      height: 20,
    });
  });

  test("is drawn at the screen's resolution, and acknowledged only then", async () => {
    const canvas = page.canvas();
    drawOnto(canvas, readers.open(), {});
    readers.put(frame(1));
    await eventually(() => decoding.length === 1);
    expect(acknowledged).toEqual([]);
    await finish(0);
    await eventually(() => acknowledged.length === 1);
    expect(page.drawn).toEqual([{ seq: 1, box: [0, -50, 200, 200] }]);
    expect([canvas.width, canvas.height]).toEqual([200, 100]);
  });

  test("whose canvas has no size from CSS gives it its own, and does not make it grow", async () => {
    page.css = null;
    const canvas = page.canvas();
    drawOnto(canvas, readers.open(), {});
    for (const seq of [1, 2, 3]) {
      readers.put(frame(seq));
      await finish(seq - 1);
      await eventually(() => acknowledged.includes(seq));
    }
    expect([canvas.width, canvas.height]).toEqual([64, 64]);
  });

  test("is the newest: while one is decoded, older ones that wait are passed over", async () => {
    drawOnto(page.canvas(), readers.open(), {});
    readers.put(frame(1));
    await eventually(() => decoding.length === 1);
    for (const seq of [2, 3, 4]) {
      readers.put(frame(seq));
    }
    await finish(0);
    await finish(1);
    await eventually(() => acknowledged.length === 2);
    expect(page.drawn.map(({ seq }) => seq)).toEqual([1, 4]);
    expect(decoding).toHaveLength(2);
  });

  test("that is damaged is passed over, and the next is drawn", async () => {
    drawOnto(page.canvas(), readers.open(), {});
    readers.put(frame(1));
    await finish(0, true);
    await eventually(() => acknowledged.length === 1);
    readers.put(frame(2));
    await finish(1);
    await eventually(() => page.drawn.length === 1);
    expect(page.drawn[0]?.seq).toBe(2);
  });

  test("of a hidden tab is not decoded, but acknowledged, so that the first one after is fresh", async () => {
    drawOnto(page.canvas(), readers.open(), {});
    page.visibilityState = "hidden";
    readers.put(frame(1));
    await eventually(() => acknowledged.length === 1);
    expect(decoding).toEqual([]);
    page.visibilityState = "visible";
    readers.put(frame(2));
    await finish(0);
    await eventually(() => page.drawn.length === 1);
  });

  test("is drawn no more after detaching", async () => {
    const detach = drawOnto(page.canvas(), readers.open(), {});
    detach();
    readers.put(frame(1));
    await Promise.resolve();
    expect(decoding).toEqual([]);
    expect(readers.empty).toBe(true);
  });
});

describe("several readers", () => {
  test("share frames: the quickest sets the pace, each gets the newest", async () => {
    const [quick, slow] = [readers.open(), readers.open()];
    readers.put(frame(1));
    expect((await quick.next())?.seq).toBe(1);
    expect((await slow.next())?.seq).toBe(1);
    readers.put(frame(2));
    expect((await quick.next())?.seq).toBe(2);
    readers.put(frame(3));
    expect((await quick.next())?.seq).toBe(3);
    expect(acknowledged).toEqual([1, 2]);
    expect((await slow.next())?.seq).toBe(3);
  });

  test("may be asked twice at once: each asking gets a frame of its own", async () => {
    const reader = readers.open();
    const asked = [reader.next(), reader.next()];
    readers.put(frame(1));
    await Promise.resolve();
    readers.put(frame(2));
    expect((await Promise.all(asked)).map((one) => one?.seq).sort()).toEqual([1, 2]);
  });

  test("that come late begin with the frame that nobody has used yet", async () => {
    readers.put(frame(1));
    expect((await readers.open().next())?.seq).toBe(1);
    const late = readers.open();
    late.close();
    expect(await late.next()).toBeNull();
  });
});

describe("a video track", () => {
  /** Chromium's generator of tracks. */
  class Generator {
    static readonly shown: unknown[] = [];
    readyState = "live";
    readonly writable = new WritableStream({ write: (one) => void Generator.shown.push(one) });
    stop(): void {
      this.readyState = "ended";
    }
  }

  beforeEach(() => {
    Generator.shown.length = 0;
    vi.stubGlobal("MediaStreamTrackGenerator", Generator);
    vi.stubGlobal(
      "MediaStream",
      class {
        constructor(readonly tracks: unknown[]) {}
      },
    );
    vi.stubGlobal(
      "VideoFrame",
      class {
        constructor(
          readonly picture: unknown,
          readonly init: unknown,
        ) {}
      },
    );
  });

  test("shows every frame once, and ends when it is stopped", async () => {
    const track = new AvatarTrack(readers.open(), 24);
    readers.put(frame(1));
    await finish(0);
    await eventually(() => Generator.shown.length === 1);
    expect(Generator.shown[0]).toMatchObject({ picture: { seq: 1 }, init: { timestamp: expect.any(Number) } });
    track.stop();
    await eventually(() => readers.empty);
  });

  test("ends by itself when the program that got it stops it", async () => {
    const { stream } = new AvatarTrack(readers.open(), 24);
    (stream as unknown as { tracks: Generator[] }).tracks[0]?.stop();
    readers.put(frame(1));
    await eventually(() => readers.empty);
    expect(decoding).toEqual([]);
  });

  test.each([
    [24, 24],
    [12, 12],
    [30, 24],
    [20, 20],
  ])("at most %s frames a second lets %s of 24 pass", (fps, expected) => {
    const thinning = new Thinning(fps);
    const passed = Array.from({ length: 240 }, (_, index) => thinning.takes(Math.round((index * 1e6) / 24)));
    expect(passed.filter(Boolean).length / 10).toBeCloseTo(expected, 0);
  });

  test("goes on when a new session's clock begins anew", () => {
    const thinning = new Thinning(24);
    expect([thinning.takes(9e6), thinning.takes(0), thinning.takes(41_667)]).toEqual([true, true, true]);
  });
});
