import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as pb from "../src/gen/avatar_pb.js";
import {
  type AvatarSession,
  ConnectionLostError,
  InvalidPoseError,
  monotonicUs,
  NoCapacityError,
  type Pose,
  ProtocolError,
  type SessionClose,
  type SessionEvent,
  SessionStateLostError,
} from "../src/index.js";
import { eventually, Refusal, ScriptedServer, type ServerStream } from "./scripted_server.js";

const PORTRAIT = new Uint8Array([1, 2, 3]);
const CREATE = { portrait: PORTRAIT, consent: true };

let server: ScriptedServer;
let session: AvatarSession | undefined;

beforeEach(async () => {
  server = await new ScriptedServer().start();
});

afterEach(async () => {
  await session?.close();
  session = undefined;
  await server.stop();
});

function pose(): Pose {
  return { timestampUs: monotonicUs(), face: new Float32Array(478 * 3) };
}

/** The newest stream. */
function stream(): ServerStream {
  return server.streams.at(-1) as ServerStream;
}

async function opened(options = {}): Promise<AvatarSession> {
  session = await server.client().createSession({ ...CREATE, ...options });
  return session;
}

/** Everything that happens from now on, in words. */
function diary(of: AvatarSession): string[] {
  const lines: string[] = [];
  of.on("state", (state) => lines.push(`state ${state}`));
  of.on("event", (event: SessionEvent) => lines.push(`event ${event.kind}`));
  of.on("error", (error) => lines.push(`error ${error.name}`));
  of.on("close", ({ reason }: SessionClose) => lines.push(`close ${reason}`));
  return lines;
}

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

describe("a broken stream", () => {
  test("is taken up again in the same session", async () => {
    const live = await opened();
    const lines = diary(live);
    stream().cut();
    await eventually(() => lines.includes("event resumed"));
    expect(lines).toEqual(["state reconnecting", "event reconnecting", "state ready", "event resumed"]);
    expect(server.count("CreateSession")).toBe(1);
    expect(stream().config).toMatchObject({ sessionId: "one", resumeToken: "secret" });
    expect(live.stats().reconnects).toBe(1);
  });

  test("survives a server that is away for a while and has forgotten the session", async () => {
    const live = await opened({ gains: { head: 0.5 } });
    const lines = diary(live);
    live.update({ gains: { mouth: 1.5 }, paused: true, badge: false });
    await eventually(() => stream().all("control").length === 1);
    await server.stop();
    await eventually(() => lines.filter((line) => line === "event reconnecting").length > 2);
    const forgetful = (one: ServerStream) => {
      if (one.config.sessionId === "two") {
        one.ready();
        return;
      }
      one.say({ case: "error", value: { reason: "SESSION_NOT_FOUND", message: "no such session" } });
      one.close(4005);
    };
    server.begin = forgetful;
    server.answers = { CreateSession: () => ({ sessionId: "two", resumeToken: "secret" }) };
    await server.start();
    await eventually(() => lines.includes("event recreated"));
    expect(live.info.id).toBe("two");
    expect(server.calls.findLast((call) => call.method === "CreateSession")?.message).toMatchObject({
      portrait: PORTRAIT,
      config: { gains: { head: 0.5 } },
    });
    await eventually(() => stream().all("control").length === 1);
    expect(stream().all("control")[0]).toMatchObject({ gains: { mouth: 1.5 }, paused: true });
    expect(stream().config.badge).toBe(false);
  });

  test("ends the session where it was asked not to make another", async () => {
    const live = await opened({ recreate: false });
    const lines = diary(live);
    server.begin = (one) => {
      one.say({ case: "error", value: { reason: "SESSION_NOT_FOUND", message: "no such session" } });
      one.close(4005);
    };
    stream().cut();
    await eventually(() => live.state === "closed");
    expect(lines.slice(-3)).toEqual(["state closed", "error SessionNotFoundError", "close failed"]);
  });

  test("is waited for while the server still holds our old one", async () => {
    await opened();
    let refusals = 2;
    server.begin = (one) => {
      if (refusals === 0) {
        one.ready();
        return;
      }
      refusals -= 1;
      one.say({ case: "error", value: { reason: "SESSION_BUSY", message: "another stream drives it" } });
      one.close(4006);
    };
    stream().cut();
    await eventually(() => session?.stats().reconnects === 1);
    expect(refusals).toBe(0);
  });

  test("is given up after the time it was given, and its readers are told", async () => {
    session = await server.client({ reconnect: { baseMs: 5, giveUpAfterMs: 50 } }).createSession(CREATE);
    await server.stop();
    await expect(session.frames().next()).rejects.toThrow(ConnectionLostError);
    expect(session.closeReason).toBe("failed");
  });

  test("a server that leaves is followed into a new session, and one that says stop is not", async () => {
    const live = await opened();
    server.answers = { CreateSession: () => ({ sessionId: "two", resumeToken: "secret" }) };
    stream().say({ case: "goAway", value: { action: pb.GoAwayAction.RECONNECT, reason: pb.CloseReason.DRAIN } });
    stream().say({ case: "status", value: { state: pb.SessionState.CLOSED, reason: pb.CloseReason.DRAIN } });
    stream().close(1001);
    await eventually(() => server.streams.length === 2);
    expect(stream().config.sessionId).toBe("two");
    await eventually(() => live.state === "ready");
    stream().say({ case: "goAway", value: { action: pb.GoAwayAction.CLOSE } });
    stream().close(1001);
    await eventually(() => live.state === "closed");
    expect(live.closeReason).toBe("drain");
  });

  test("text where messages are binary ends the session with what was wrong", async () => {
    const live = await opened();
    stream().sendText("hello");
    await eventually(() => live.state === "closed");
    await expect(live.frames().next()).rejects.toThrow(/streams of avatar.v1 are binary/);
  });
});

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
    session = await server.client({ token }).createSession(CREATE);
    await session.close();
    expect(server.calls.map(({ method, authorization }) => [method, authorization])).toEqual([
      ["CreateSession", "Bearer ticket 1"],
      ["DeleteSession", undefined],
    ]);
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
