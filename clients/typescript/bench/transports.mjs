/**
 * The same poses over gRPC and over WebSocket, in turns, in one run.
 *
 *     avatar serve                                   # in another terminal; prints both addresses
 *     npm run build && node bench/transports.mjs     # in clients/typescript
 *
 * Options: --grpc 127.0.0.1:50051, --web http://127.0.0.1:8080, --seconds 10 (of each turn), --rounds 3,
 * --warm-up 2 (seconds left out of each turn), --portrait FILE, --poses FILE (default: the repository's samples).
 *
 * A turn opens a session and replays the poses at 24 a second. Printed are frames a second, the time from `send` to the
 * arrival of the frame that shows the pose, what of it is not the server's own time, and how much of a core this process
 * used. The last line compares that part, which does not depend on how busy the server's machine is.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { AvatarClient as WebClient } from "@avatar-sdk/client";
import { monotonicUs, AvatarClient as NodeClient, readPoseFile } from "@avatar-sdk/client/node";
import { WebSocket } from "ws";

const ASSETS = new URL("../../../avatar_sdk/assets/", import.meta.url);
const POSES_PER_SECOND = 24;

const { values: options } = parseArgs({
  options: {
    grpc: { type: "string", default: "127.0.0.1:50051" },
    web: { type: "string", default: "http://127.0.0.1:8080" },
    seconds: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    "warm-up": { type: "string", default: "2" },
    portrait: { type: "string" },
    poses: { type: "string" },
  },
});
const portrait = readFileSync(options.portrait ?? new URL("sample_portrait.png", ASSETS));
const { poses } = readPoseFile(readFileSync(options.poses ?? new URL("sample.poses", ASSETS)));
const seconds = Number(options.seconds);
const warmUpMs = 1000 * Number(options["warm-up"]);

/** Replays the poses into a session; returns what was measured after the warm-up. */
async function turn(client) {
  const session = await client.createSession({ portrait, consent: true });
  const beganMs = performance.now();
  let sent = 0;
  const driving = setInterval(() => {
    // timers are late by a millisecond or more each time: the clock says how many poses are due
    if (performance.now() - beganMs >= (sent * 1000) / POSES_PER_SECOND) {
      session.send({ ...poses[sent % poses.length], timestampUs: monotonicUs() });
      sent += 1;
    }
  }, 4);
  const latenciesMs = [];
  const waysMs = [];
  let frames = 0;
  let measuring = null;
  for await (const frame of session) {
    const now = performance.now();
    if (measuring === null && now - beganMs > warmUpMs) {
      measuring = { sinceMs: now, cpu: process.cpuUsage() };
    } else if (measuring !== null) {
      frames += 1;
      if (frame.latencyUs !== null) {
        latenciesMs.push(frame.latencyUs / 1000);
        waysMs.push((frame.latencyUs - frame.timings.poseToFrameUs) / 1000);
      }
      if (now - measuring.sinceMs >= seconds * 1000) {
        break;
      }
    }
  }
  clearInterval(driving);
  const elapsedMs = performance.now() - measuring.sinceMs;
  const { user, system } = process.cpuUsage(measuring.cpu);
  await session.close();
  client.close();
  return { fps: (frames * 1000) / elapsedMs, latenciesMs, waysMs, core: (user + system) / 1000 / elapsedMs };
}

function percentile(samples, share) {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;

const ways = {
  "gRPC (Node)": () => new NodeClient(options.grpc),
  WebSocket: () => new WebClient(options.web, { webSocket: globalThis.WebSocket ?? WebSocket }),
};
const info = await ways["gRPC (Node)"]().serverInfo();
console.log(`${info.model} ${info.width}×${info.height}, ${options.rounds} rounds of ${seconds} s each way`);
const turns = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let round = 0; round < Number(options.rounds); round += 1) {
  for (const [name, client] of Object.entries(ways)) {
    turns[name].push(await turn(client()));
  }
}

const totals = [];
const ways50 = [];
for (const [name, all] of Object.entries(turns)) {
  const latencies = all.flatMap(({ latenciesMs }) => latenciesMs);
  const onTheWay = all.flatMap(({ waysMs }) => waysMs);
  const [p50, p95] = [percentile(latencies, 0.5), percentile(latencies, 0.95)];
  totals.push(p50);
  ways50.push(percentile(onTheWay, 0.5));
  const fps = mean(all.map((one) => one.fps)).toFixed(1);
  const core = (100 * mean(all.map((one) => one.core))).toFixed(1);
  const way = `on the way p50 ${ways50.at(-1).toFixed(1)}, p95 ${percentile(onTheWay, 0.95).toFixed(1)} ms`;
  console.log(
    `${name.padEnd(12)} ${fps} fps   pose → frame p50 ${p50.toFixed(1)}, p95 ${p95.toFixed(1)} ms   ${way}   ${core} % of a core`,
  );
}
const compared = ([grpc, web]) => `× ${(web / grpc).toFixed(3)} (${(web - grpc).toFixed(1)} ms)`;
console.log(`WebSocket / gRPC, p50: pose → frame ${compared(totals)}, on the way ${compared(ways50)}`);
