import { describe, expect, test } from "vitest";
import * as pb from "../src/gen/avatar_pb.js";
import { InvalidPoseError, NoCapacityError, ProtocolError, SessionStateLostError } from "../src/index.js";
import { eventually, Refusal } from "./scripted_server.js";
import { diary, opened, pose, server, stream, useScriptedServer } from "./scripted_session.js";

useScriptedServer();

describe("a session's life", () => {
  test("it is created with what was asked for, and its stream bears its token", async () => {
    const live = await opened({ framing: 2.5, gains: { mouth: 1.5 }, background: { kind: "color", color: "#20aa60" } });
    const { message } = server.calls[0] as { message: pb.CreateSessionRequest };
    expect(message.config).toMatchObject({
      framingScale: 2.5,
      gains: { mouth: 1.5 },
      background: { colorRgb: 0x20aa60 },
    });
    expect(stream().config).toMatchObject({ sessionId: "one", resumeToken: "secret", encoding: pb.Encoding.JPEG });
    expect(live.state).toBe("ready");
    expect(live.info).toMatchObject({ id: "one", width: 4, fps: 24, faces: 1 });
  });

  test("what happened while it was opened is told to the first who listens", async () => {
    server.begin = (one) => {
      one.ready();
      one.say({ case: "event", value: { kind: pb.EventKind.SEVERAL_FACES, message: "3 faces" } });
    };
    const live = await opened();
    await eventually(() => live.stats().rttMs !== null || stream().all("ping").length > 0);
    const [first, second]: string[][] = [[], []];
    live.on("event", ({ kind }) => first?.push(kind));
    live.on("event", ({ kind }) => second?.push(kind));
    stream().say({ case: "event", value: { kind: pb.EventKind.CALIBRATED } });
    await eventually(() => second?.length === 1);
    expect(first).toEqual(["severalFaces", "calibrated"]);
    expect(second).toEqual(["calibrated"]);
  });

  test("the server's states are the session's", async () => {
    const live = await opened();
    const lines = diary(live);
    for (const state of [pb.SessionState.GENERATING, pb.SessionState.FACE_LOST, pb.SessionState.GENERATING]) {
      stream().say({ case: "status", value: { state } });
    }
    await eventually(() => lines.length === 3);
    expect(lines).toEqual(["state generating", "state faceLost", "state generating"]);
  });

  test.each([
    [pb.CloseReason.IDLE, "idle"],
    [pb.CloseReason.MAX_DURATION, "maxDuration"],
    [pb.CloseReason.CLIENT, "client"],
  ])("an end by the server has its reason: %s → %s", async (reason, word) => {
    const live = await opened();
    const lines = diary(live);
    stream().say({ case: "status", value: { state: pb.SessionState.CLOSED, reason } });
    stream().close(1000);
    await eventually(() => live.state === "closed");
    expect(lines).toEqual(["state closed", `close ${word}`]);
    expect(live.closeReason).toBe(word);
  });

  test("closing deletes the session once, and ends its readers", async () => {
    const live = await opened();
    const reading = (async () => {
      for await (const _ of live) {
        throw new Error("no frame was sent");
      }
    })();
    await Promise.all([live.close(), live.close()]);
    await reading;
    await live.close();
    expect(server.count("DeleteSession")).toBe(1);
    expect(live.send(pose())).toBe(0);
  });

  test("a server that is gone does not keep a session from closing", async () => {
    const live = await opened();
    await server.stop();
    await live.close();
    expect(live.closeReason).toBe("client");
  });

  test("a step that failed ends the session with its error, which its readers are given", async () => {
    const live = await opened();
    const lines = diary(live);
    const reading = live.frames().next();
    stream().say({ case: "error", value: { reason: "SESSION_STATE_LOST", message: "a step failed" } });
    stream().close(4010);
    await expect(reading).rejects.toThrow(SessionStateLostError);
    expect(lines).toEqual(["state closed", "error SessionStateLostError", "close stateLost"]);
  });

  test("a frame of an encoding this client does not know ends the session rather than hang it", async () => {
    const live = await opened();
    stream().frame(1, { encoding: 9 as pb.Encoding });
    await eventually(() => live.state === "closed");
    await expect(live.frames().next()).rejects.toThrow(ProtocolError);
  });
});

describe("what is refused", () => {
  test("a refused creation throws the server's error and leaves no session", async () => {
    server.answers = {
      CreateSession: () => Refusal.of(429, "resource_exhausted", "NO_CAPACITY", "all 4 slots are taken"),
    };
    await expect(opened()).rejects.toThrow(NoCapacityError);
    expect(server.count("DeleteSession")).toBe(0);
  });

  test("nothing is sent without consent", async () => {
    await expect(opened({ consent: false })).rejects.toThrow(/consent was not declared/);
    expect(server.calls).toEqual([]);
  });

  test("a stream that is refused before it was ever open frees the slot", async () => {
    server.begin = (one) => {
      one.say({ case: "error", value: { reason: "UNAUTHENTICATED", message: "wrong" } });
      one.close(4016);
    };
    await expect(opened()).rejects.toMatchObject({ reason: "UNAUTHENTICATED", retryable: false });
    expect(server.count("DeleteSession")).toBe(1);
  });

  test("a pose that is none is refused at the call", async () => {
    const live = await opened();
    expect(() => live.send({ timestampUs: 1, face: new Float32Array(3) })).toThrow(InvalidPoseError);
  });

  test("nobody there is an error that can be tried again", async () => {
    await server.stop();
    await expect(server.client().serverInfo()).rejects.toMatchObject({ name: "ConnectionLostError", retryable: true });
  });
});

describe("AbortSignal", () => {
  test("a creation given up while the server works on it leaves no session behind", async () => {
    let answer: (value: object) => void = () => undefined;
    server.answers = {
      CreateSession: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    };
    const abort = new AbortController();
    const creating = opened({ signal: abort.signal });
    await eventually(() => server.count("CreateSession") === 1);
    abort.abort();
    await expect(creating).rejects.toThrow("aborted");
    answer({ sessionId: "late", resumeToken: "secret" });
    await eventually(() => server.count("DeleteSession") === 1);
    expect(server.calls.at(-1)?.message.sessionId).toBe("late");
    expect(server.streams).toEqual([]);
  });

  test("a call and a read end when their signal aborts", async () => {
    server.answers = { GetServerInfo: () => new Promise(() => undefined) };
    const abort = new AbortController();
    const info = server.client().serverInfo({ signal: abort.signal });
    const reading = (await opened()).frames({ signal: abort.signal }).next();
    abort.abort(new Error("enough"));
    await expect(info).rejects.toThrow("enough");
    await expect(reading).rejects.toThrow("enough");
  });

  test("a call that is not answered in time says so", async () => {
    server.answers = { GetServerInfo: () => new Promise(() => undefined) };
    await expect(server.client().serverInfo({ timeoutMs: 30 })).rejects.toMatchObject({ reason: "TIMEOUT" });
  });
});
