import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import * as web from "../../src/index.js";
import {
  AuthenticationError,
  type AvatarSession,
  ConnectionLostError,
  type Frame,
  InvalidConfigError,
  InvalidPortraitError,
  monotonicUs,
  NoCapacityError,
  type Pose,
  readPoseFile,
} from "../../src/index.js";
import * as node from "../../src/node.js";
import { eventually } from "../scripted_server.js";
import { type Live, live, Network } from "./servers.js";

const { grpc, spareGrpc, spareWeb, secureGrpc, secureWeb, authority, key, ...at } = live ?? ({} as Live);
const webSocket = WebSocket as unknown as typeof globalThis.WebSocket;
const reconnect = { baseMs: 10, maxDelayMs: 50 };

type AnyClient = web.AvatarClient | node.AvatarClient;
const over = {
  grpc: (address: string, options = {}): AnyClient => new node.AvatarClient(address, { reconnect, ...options }),
  web: (address: string, options = {}): AnyClient =>
    new web.AvatarClient(`http://${address}`, { webSocket, reconnect, ...options }),
};

let session: AvatarSession;
let driving: ReturnType<typeof setInterval> | undefined;
let portrait: Uint8Array;
let poses: Pose[];

beforeEach(() => {
  portrait = readFileSync(at.portrait);
  poses = readPoseFile(readFileSync(at.poses)).poses;
});

afterEach(async () => {
  clearInterval(driving);
  await session?.close();
});

/** Sends the recorded driver, 25 poses a second. */
function drive(of: AvatarSession): void {
  let index = 0;
  driving = setInterval(() => {
    of.send({ ...(poses[index % poses.length] as Pose), timestampUs: monotonicUs() });
    index += 1;
  }, 40);
}

/** The next `count` frames that show a new pose. */
async function fresh(of: AvatarSession, count: number): Promise<Frame[]> {
  const found: Frame[] = [];
  for await (const frame of of) {
    if (frame.source === "pose") {
      found.push(frame);
    }
    if (found.length === count) {
      break;
    }
  }
  return found;
}

describe.skipIf(live === null).each(["grpc", "web"] as const)("the real service over %s", (kind) => {
  const address = kind === "grpc" ? grpc : at.web;
  const spare = kind === "grpc" ? spareGrpc : spareWeb;

  test("says what it is, and takes and frees a slot", async () => {
    const client = over[kind](address);
    const before = await client.serverInfo();
    expect(before).toMatchObject({ version: "0.1.0", model: "warp", fps: 24, draining: false, maxSessions: 1 });
    expect(before.encodings).toContain("jpeg");
    session = await client.createSession({ portrait, consent: true });
    expect((await client.serverInfo()).freeSessions).toBe(0);
    await session.close();
    expect((await client.serverInfo()).freeSessions).toBe(1);
    client.close();
  });

  test("animates the portrait by the poses", async () => {
    session = await over[kind](address).createSession({ portrait, consent: true, encoding: "rgb", badge: false });
    drive(session);
    const frames = await fresh(session, 24);
    const [first, last] = [frames[0] as Frame, frames.at(-1) as Frame];
    expect(first.data).toHaveLength(first.width * first.height * 3);
    expect(last.poseSeq).toBeGreaterThan(first.poseSeq);
    expect(last.latencyUs).toBeGreaterThan(0);
    expect(last.data.some((value, index) => Math.abs(value - (first.data[index] ?? 0)) > 40)).toBe(true);
    expect(session.state).toBe("generating");
    expect(session.stats().rttMs).toBeGreaterThan(0);
  });

  test("calibrates, changes, swaps the portrait, and notices a face that is gone", async () => {
    session = await over[kind](address).createSession({ portrait, consent: true });
    const events: string[] = [];
    session.on("event", ({ kind }) => events.push(kind));
    session.on("frame", () => undefined); // lets frames come
    drive(session);
    session.calibrate();
    session.update({ gains: { mouth: 1.5 }, smoothing: false });
    await session.replacePortrait(new Blob([portrait as Uint8Array<ArrayBuffer>]), { consent: true });
    await eventually(() => events.includes("calibrated") && events.includes("portraitChanged"));
    clearInterval(driving);
    driving = setInterval(() => session.send({ timestampUs: monotonicUs(), face: null }), 40);
    await eventually(() => session.state === "faceLost" && events.includes("faceLost"));
  });

  test("raises its own errors here", async () => {
    const client = over[kind](address);
    await expect(client.createSession({ portrait: new Uint8Array(9), consent: true })).rejects.toThrow(
      InvalidPortraitError,
    );
    session = await client.createSession({ portrait, consent: true });
    const second = client.createSession({ portrait, consent: true });
    await expect(second).rejects.toMatchObject({ constructor: NoCapacityError, retryable: true });
  });

  test("goes on in the same session after the connection broke", async () => {
    const network = new Network(address);
    const through = await network.open();
    session = await over[kind](through).createSession({ portrait, consent: true });
    const { id } = session.info;
    const events: string[] = [];
    session.on("event", ({ kind }) => events.push(kind));
    drive(session);
    await fresh(session, 3);
    network.cut();
    await eventually(() => events.includes("resumed"));
    await fresh(session, 3);
    expect(session.info.id).toBe(id);
    expect(session.stats().reconnects).toBe(1);
    await session.close();
    network.close();
  });

  test("goes on in a new session after another server took its place", async () => {
    const network = new Network(address);
    session = await over[kind](await network.open()).createSession({ portrait, consent: true });
    const events: string[] = [];
    session.on("event", ({ kind }) => events.push(kind));
    drive(session);
    await fresh(session, 3);
    network.target = spare;
    network.cut();
    await eventually(() => events.includes("recreated"));
    await fresh(session, 3);
    await session.close();
    network.close();
    // the first server keeps the slot for the resume window, which is none of this test's business
    await eventuallyFree(over[kind](address));
  });

  test("gives a fresh frame at the latest as the third after this program stood still", async () => {
    session = await over[kind](address).createSession({ portrait, consent: true });
    drive(session);
    await fresh(session, 3);
    const frames = session.frames();
    const read = async () => (await frames.next()).value as Frame;
    const before = await read();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500); // nothing runs here meanwhile
    const after = [await read(), await read(), await read()];
    expect(after[2]?.timestampUs).toBeGreaterThan(before.timestampUs + 1_400_000);
    await frames.return();
  });

  test("is over when no pose comes, and knows why", async () => {
    session = await over[kind](spare).createSession({ portrait, consent: true });
    for await (const _ of session) {
      // idle frames, until the server ends it
    }
    expect(session.state).toBe("closed");
    expect(session.closeReason).toBe("idle");
  });

  test("tracks the driver in pictures of the camera", async () => {
    session = await over[kind](address).createSession({ portrait, consent: true });
    const picture = new Blob([new Uint8Array(readFileSync(at.camera))], { type: "image/jpeg" });
    driving = setInterval(() => session.sendCamera(picture), 100);
    const [frame] = await fresh(session, 1);
    expect(frame?.poseSeq).toBeGreaterThan(0);
  });
});

/** Returns once the server has a slot again. */
async function eventuallyFree(client: AnyClient): Promise<void> {
  while ((await client.serverInfo()).freeSessions === 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe.skipIf(live === null)("a service with TLS and a key", () => {
  test("is reached over gRPC by who trusts its authority and has the key", async () => {
    const tls = { rootCertificates: authority };
    const client = new node.AvatarClient(secureGrpc, { tls, token: key });
    session = await client.createSession({ portrait, consent: true });
    drive(session);
    await fresh(session, 2);
    await session.close();
    await expect(new node.AvatarClient(secureGrpc, { tls }).serverInfo()).rejects.toThrow(AuthenticationError);
    const stranger = new node.AvatarClient(secureGrpc, { tls: {}, token: key, timeoutMs: 3000 });
    await expect(stranger.serverInfo()).rejects.toThrow(ConnectionLostError);
  });

  test("is not reached with files that are none", () => {
    const make = (tls: node.TlsOptions) => () => new node.AvatarClient(secureGrpc, { tls });
    expect(make({ rootCertificates: "absent.pem" })).toThrow(InvalidConfigError);
    expect(make({ privateKey: authority })).toThrow(/needs both/);
  });

  test("is reached over the web with a token for one session, once", async () => {
    const mint = async () => {
      const answer = await fetch(`https://${secureWeb}/v1/tokens`, {
        method: "POST",
        headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
        body: JSON.stringify({ ttl_s: 60, scopes: ["session"] }),
      });
      return ((await answer.json()) as { token: string }).token;
    };
    const once = await mint();
    const client = new web.AvatarClient(`https://${secureWeb}`, { webSocket, token: once });
    session = await client.createSession({ portrait, consent: true });
    drive(session);
    await fresh(session, 2);
    await session.close();
    await expect(client.createSession({ portrait, consent: true })).rejects.toThrow(AuthenticationError);
    session = await new web.AvatarClient(`https://${secureWeb}`, { webSocket, token: mint }).createSession({
      portrait,
      consent: true,
    });
  });
});
