import { describe, expect, test } from "vitest";
import * as pb from "../src/gen/avatar_pb.js";
import { eventually } from "./scripted_server.js";
import { opened, PORTRAIT, pose, server, stream, useScriptedServer } from "./scripted_session.js";

useScriptedServer();

describe("the newest wins", () => {
  test("a pose travels as it was given, and its frame tells how long it took", async () => {
    const live = await opened();
    const given = { timestampUs: 5_000_000.4, face: Float32Array.from({ length: 1434 }, (_, i) => i / 1434) };
    const seq = live.send(given);
    await eventually(() => stream().all("pose").length === 1);
    const [sent] = stream().all("pose");
    expect(sent).toMatchObject({ seq: 1n, timestampUs: 5_000_000n, facePresent: true, faceConfidence: 1 });
    expect(new Float32Array((sent as pb.Pose).face.slice().buffer)).toEqual(given.face);
    stream().frame(1, { poseSeq: BigInt(seq), source: pb.MotionSource.POSE, timings: { poseToFrameUs: 7 } });
    const { value: frame } = await live.frames().next();
    expect(frame).toMatchObject({ seq: 1, poseSeq: seq, source: "pose", timings: { poseToFrameUs: 7 } });
    expect(frame?.latencyUs).toBeGreaterThan(0);
  });

  test("poses that cannot leave are replaced: a stuck server gets few old ones", async () => {
    const live = await opened();
    stream().stall();
    for (let count = 0; count < 3000; count += 1) {
      live.send(pose());
      if (count % 50 === 0) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    stream().goOn();
    stream().say({ case: "pong", value: { timestampUs: 1n } });
    await eventually(() => stream().all("pose").at(-1)?.seq === 3000n);
    expect(stream().all("pose").length).toBeLessThan(80);
    expect(live.stats().posesDropped).toBeGreaterThan(2900);
  });

  test("a slow loop is given the newest frame, and acknowledges only what it is done with", async () => {
    const live = await opened();
    const frames = live.frames();
    const first = frames.next();
    stream().frame(1);
    expect((await first).value?.seq).toBe(1);
    stream().frame(2);
    stream().frame(3);
    await eventually(() => live.stats().framesReceived === 3);
    expect(stream().all("ack")).toEqual([]);
    expect((await frames.next()).value?.seq).toBe(3);
    await eventually(() => stream().all("ack").length === 1);
    expect(stream().all("ack")[0]?.frameSeq).toBe(1n);
    await frames.return();
    await eventually(() => stream().all("ack").at(-1)?.frameSeq === 3n);
    expect(live.stats()).toMatchObject({ framesShown: 2, framesDropped: 1 });
  });

  test("frames that only listeners see are acknowledged, frames that nobody sees are not", async () => {
    const live = await opened();
    stream().frame(1);
    await eventually(() => live.stats().framesReceived === 1);
    const seen: number[] = [];
    const off = live.on("frame", ({ seq }) => seen.push(seq));
    stream().frame(2);
    await eventually(() => stream().all("ack").length === 1);
    off();
    stream().frame(3);
    await eventually(() => live.stats().framesReceived === 3);
    expect(seen).toEqual([2]);
    expect(
      stream()
        .all("ack")
        .map(({ frameSeq }) => frameSeq),
    ).toEqual([2n]);
  });

  test("a frame of a stream that broke acknowledges nothing on the next", async () => {
    const live = await opened();
    const frames = live.frames();
    const first = frames.next();
    stream().frame(7);
    await first;
    stream().cut();
    await eventually(() => server.streams.length === 2 && live.state === "ready");
    const second = frames.next();
    stream().frame(1);
    await second;
    await frames.return();
    await eventually(() => stream().all("ack").length === 1);
    expect(stream().all("ack")[0]?.frameSeq).toBe(1n);
  });

  test("pictures of the camera go in one sequence with poses", async () => {
    const live = await opened();
    expect(live.send(pose())).toBe(1);
    await eventually(() => stream().all("pose").length === 1);
    expect(live.sendCamera(new Blob([new Uint8Array([9])]), 77)).toBe(2);
    await eventually(() => stream().all("camera").length === 1);
    expect(stream().all("camera")[0]).toMatchObject({ seq: 2n, timestampUs: 77n, image: new Uint8Array([9]) });
    expect(() => live.sendCamera(new Uint8Array(300_000))).toThrow(/at most|must have/);
  });
});

describe("what else is said", () => {
  test("changes are merged while they wait, and calibration is among them", async () => {
    const live = await opened();
    live.update({ gains: { head: 0.5 } });
    live.update({ gains: { mouth: 2 }, smoothing: false });
    live.calibrate();
    await eventually(
      () =>
        stream().all("control").length > 0 &&
        stream()
          .all("control")
          .some((one) => one.calibrate),
    );
    const all = stream().all("control");
    expect(all.map(({ gains }) => gains?.head).find((head) => head !== undefined)).toBe(0.5);
    expect(all.some(({ smoothing }) => smoothing === false)).toBe(true);
    expect(() => live.update({ gains: { head: 3 } })).toThrow(/gains.head is 3/);
  });

  test("pings measure the way there and back", async () => {
    server.react = (one, { message }) => {
      if (message.case === "ping") {
        one.say({ case: "pong", value: { timestampUs: message.value.timestampUs } });
      }
    };
    const live = await opened();
    await eventually(() => live.stats().rttMs !== null);
    expect(live.stats().rttMs).toBeGreaterThan(0);
  });

  test("a new portrait is shown also after a new session had to be made", async () => {
    const live = await opened();
    await live.replacePortrait(new Uint8Array([7]), { consent: true });
    expect(server.calls.at(-1)).toMatchObject({ method: "UpdateSession", message: { sessionId: "one" } });
    await expect(live.replacePortrait(PORTRAIT, { consent: false })).rejects.toThrow(/consent/);
    stream().say({ case: "goAway", value: { action: pb.GoAwayAction.RECONNECT } });
    stream().close(1001);
    await eventually(() => server.count("CreateSession") === 2);
    expect(server.calls.at(-1)?.message.portrait).toEqual(new Uint8Array([7]));
  });

  test("a token is fetched for calls that need one, and not for those the session itself may make", async () => {
    let tokens = 0;
    const token = async () => {
      tokens += 1;
      return `ticket ${tokens}`;
    };
    const session = await opened({}, server.client({ token }));
    await session.close();
    expect(server.calls.map(({ method, authorization }) => [method, authorization])).toEqual([
      ["CreateSession", "Bearer ticket 1"],
      ["DeleteSession", undefined],
    ]);
  });

  test("a token that cannot be fetched, or does not come, is an error and no endless wait", async () => {
    const refusing = server.client({ token: () => Promise.reject(new TypeError("fetch failed")) });
    await expect(refusing.serverInfo()).rejects.toThrow(/a token .* could not be fetched: TypeError: fetch failed/);
    const silent = server.client({ token: () => new Promise<string>(() => undefined) });
    await expect(silent.serverInfo({ timeoutMs: 20 })).rejects.toMatchObject({ reason: "TIMEOUT" });
    expect(server.calls).toEqual([]);
  });

  test("what a listener throws stops neither the session nor other listeners", async () => {
    const caught: unknown[] = [];
    const catching = (error: unknown) => caught.push(error);
    const before = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", catching);
    try {
      const live = await opened();
      const seen: number[] = [];
      live.on("frame", () => {
        throw new Error("a fault of the page");
      });
      live.on("frame", ({ seq }) => seen.push(seq));
      stream().frame(1);
      stream().frame(2);
      await eventually(() => seen.length === 2);
      expect(caught).toHaveLength(2);
    } finally {
      process.off("uncaughtException", catching);
      for (const listener of before) {
        process.on("uncaughtException", listener);
      }
    }
  });
});
