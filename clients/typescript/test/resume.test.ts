import { describe, expect, test } from "vitest";
import * as pb from "../src/gen/avatar_pb.js";
import { ConnectionLostError } from "../src/index.js";
import { eventually, type ServerStream } from "./scripted_server.js";
import { diary, opened, PORTRAIT, server, stream, useScriptedServer } from "./scripted_session.js";

useScriptedServer();

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
    const session = await opened();
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
    await eventually(() => session.stats().reconnects === 1);
    expect(refusals).toBe(0);
  });

  test("is given up after the time it was given, and its readers are told", async () => {
    const session = await opened({}, server.client({ reconnect: { baseMs: 5, giveUpAfterMs: 50 } }));
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
    await expect(live.frames().next()).rejects.toThrow(/sent text; does it speak avatar.v1/);
  });

  test("so do bytes that are no message", async () => {
    const live = await opened();
    stream().sendBytes(new Uint8Array([10, 200]));
    await eventually(() => live.state === "closed");
    await expect(live.frames().next()).rejects.toThrow(/2 bytes that are no message/);
  });
});
