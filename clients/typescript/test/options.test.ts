import { describe, expect, test } from "vitest";
import * as pb from "../src/gen/avatar_pb.js";
import { type AvatarError, InvalidConfigError, InvalidPortraitError, type SessionOptions } from "../src/index.js";
import { controlMessage, createRequest, merged, streamConfig } from "../src/options.js";

const CREATE: SessionOptions = { portrait: new Uint8Array(1), consent: true };

describe("options", () => {
  test("left out are the documented defaults", async () => {
    const { config } = await createRequest(CREATE);
    expect(config).toMatchObject({
      framing: pb.Framing.BUST,
      background: { kind: pb.BackgroundKind.KEEP },
      neutral: pb.NeutralMode.AUTO,
      smoothing: true,
      seed: 0n,
    });
    expect(streamConfig(CREATE)).toMatchObject({ encoding: pb.Encoding.JPEG, badge: true, quality: 0 });
  });

  test("take images as Blob or bytes", async () => {
    const image = new Blob([new Uint8Array([1, 2])]);
    const request = await createRequest({ ...CREATE, portrait: image, background: { kind: "image", image } });
    expect(request.portrait).toEqual(new Uint8Array([1, 2]));
    expect(request.config?.background).toMatchObject({ kind: pb.BackgroundKind.IMAGE, image: new Uint8Array([1, 2]) });
  });

  test.each<[object, string]>([
    [{ framing: 7 }, "framing is 7"],
    [{ framing: "wide" }, 'framing is "wide"'],
    [{ gains: { mouth: -1 } }, "gains.mouth is -1"],
    [{ gains: { nose: 1 } }, "there is no gain nose"],
    [{ neutral: "constructor" }, "neutral is"],
    [{ background: { kind: "color", color: "red" } }, "the background is red"],
    [{ background: { kind: "stars" } }, "kind is"],
    [{ seed: 0.5 }, "seed is 0.5"],
    [{ consent: undefined }, "consent was not declared"],
  ])("out of range are refused, naming what was wrong: %j", async (wrong, message) => {
    const error = await createRequest({ ...CREATE, ...wrong }).catch((caught: AvatarError) => caught);
    expect(error).toBeInstanceOf(InvalidConfigError);
    expect((error as AvatarError).message).toContain(message);
    expect((error as AvatarError).field).not.toBe("");
  });

  test.each([{ quality: 101 }, { maxInFlight: 9 }, { encoding: "gif" }])("of the stream too: %j", (wrong) => {
    expect(() => streamConfig({ ...CREATE, ...(wrong as object) })).toThrow(InvalidConfigError);
  });

  test("refuse a portrait that is empty or too large before it is sent", async () => {
    await expect(createRequest({ ...CREATE, portrait: new Blob() })).rejects.toThrow(InvalidPortraitError);
    await expect(createRequest({ ...CREATE, portrait: new Uint8Array(9 << 20) })).rejects.toThrow(/more than 8388608/);
  });
});

describe("changes", () => {
  test("of the same gain: the later wins, the others stay", () => {
    expect(merged({ gains: { head: 1, eyes: 1 }, badge: true }, { gains: { head: 2 } })).toEqual({
      gains: { head: 2, eyes: 1 },
      badge: true,
    });
  });

  test("say nothing of what they leave as it is", () => {
    const control = controlMessage({ gains: { head: 0 } });
    expect(control.gains).toMatchObject({ head: 0 });
    expect(control.gains?.mouth).toBeUndefined();
    expect(control).toMatchObject({ calibrate: false, neutral: pb.NeutralMode.UNSPECIFIED });
    expect(control.paused).toBeUndefined();
  });
});
