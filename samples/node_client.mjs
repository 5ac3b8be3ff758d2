// An avatar from Node: recorded poses out, the last frame into a file.
//   npm ci && npm run build -w @avatar-sdk/client && node samples/node_client.mjs me.jpg me.poses out.jpg [localhost:50051]
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { AvatarClient, monotonicUs, readPoseFile } from "@avatar-sdk/client/node";

const [portrait, poseFile, out, target] = process.argv.slice(2);
const { poses } = readPoseFile(await readFile(poseFile));
const client = new AvatarClient(target);
const session = await client.createSession({ portrait: await readFile(portrait), consent: true });

let newest;
session.on("frame", (frame) => {
  newest = frame;
});
for (const pose of poses.slice(0, 50)) {
  session.send({ ...pose, timestampUs: monotonicUs() }); // never waits: the newest pose wins
  await sleep(40);
}

await writeFile(out, newest.data);
const { fps, latencyP50Ms } = session.stats();
console.log(`frame ${newest.seq}, ${fps.toFixed(1)} fps, ${latencyP50Ms?.toFixed(0)} ms from pose to frame`);
await session.close();
client.close();
