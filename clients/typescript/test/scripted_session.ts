/** What tests of sessions share: a scripted server for each test, and a session that is closed after it. */
import { afterEach, beforeEach } from "vitest";
import { type AvatarSession, monotonicUs, type Pose, type SessionClose, type SessionEvent } from "../src/index.js";
import { ScriptedServer, type ServerStream } from "./scripted_server.js";

export const PORTRAIT = new Uint8Array([1, 2, 3]);
export const CREATE = { portrait: PORTRAIT, consent: true };

export let server: ScriptedServer;
let session: AvatarSession | undefined;

/** Makes them for every test of the file. */
export function useScriptedServer(): void {
  beforeEach(async () => {
    server = await new ScriptedServer().start();
  });
  afterEach(async () => {
    await session?.close();
    session = undefined;
    await server.stop();
  });
}

export function pose(): Pose {
  return { timestampUs: monotonicUs(), face: new Float32Array(478 * 3) };
}

/** The newest stream, from the server's side. */
export function stream(): ServerStream {
  return server.streams.at(-1) as ServerStream;
}

/** A session whose stream is open. */
export async function opened(options = {}, client = server.client()): Promise<AvatarSession> {
  session = await client.createSession({ ...CREATE, ...options });
  return session;
}

/** Everything that happens from now on, in words. */
export function diary(of: AvatarSession): string[] {
  const lines: string[] = [];
  of.on("state", (state) => lines.push(`state ${state}`));
  of.on("event", (event: SessionEvent) => lines.push(`event ${event.kind}`));
  of.on("error", (error) => lines.push(`error ${error.name}`));
  of.on("close", ({ reason }: SessionClose) => lines.push(`close ${reason}`));
  return lines;
}
