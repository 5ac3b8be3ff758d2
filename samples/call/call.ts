/**
 * A call between the tabs of one browser, over plain RTCPeerConnections; a tab may take part with an avatar.
 *
 *   avatar serve --allow-origin http://127.0.0.1:8090
 *   npx esbuild samples/call/call.ts --bundle --format=esm --outdir=samples/call \
 *     --servedir=samples/call --serve=127.0.0.1:8090
 *
 * The tabs find each other by BroadcastChannel, which takes the place of your signalling server. The service tracks the
 * driver in pictures of the camera; with `PoseTracker` instead of `JpegCamera` only landmarks leave the page.
 */
import { AvatarClient } from "@avatar-sdk/client";
import { JpegCamera } from "@avatar-sdk/client/tracker";

/** What one tab tells another, or, without `to`, all of them. */
interface Signal {
  from: string;
  to?: string;
  description?: RTCSessionDescriptionInit;
  candidate?: RTCIceCandidateInit;
}

const SERVICE = new URLSearchParams(location.search).get("service") ?? "http://127.0.0.1:8080";
const me = crypto.randomUUID();
const channel = new BroadcastChannel("a call with an avatar");
const others = new Map<string, RTCPeerConnection>();
const status = document.querySelector("[role=status]") as HTMLElement;
let mine: MediaStream | null = null;

/** The connection to another tab, made on first use. */
function peer(id: string): RTCPeerConnection {
  const known = others.get(id);
  if (known !== undefined) {
    return known;
  }
  const connection = new RTCPeerConnection();
  others.set(id, connection);
  const seen = document.createElement("figure");
  connection.ontrack = ({ track }) => {
    const video = document.createElement("video");
    Object.assign(video, { srcObject: new MediaStream([track]), autoplay: true, muted: true, playsInline: true });
    seen.replaceChildren(video);
    document.querySelector("main")?.append(seen);
  };
  connection.onicecandidate = ({ candidate }) => candidate && say({ to: id, candidate: candidate.toJSON() });
  connection.onnegotiationneeded = () => describe(id, connection);
  connection.onconnectionstatechange = () => {
    if (["closed", "failed", "disconnected"].includes(connection.connectionState)) {
      seen.remove();
      others.delete(id);
    }
  };
  publish(connection);
  return connection;
}

/** Sends our side of it: an offer, or the answer to theirs. */
async function describe(id: string, connection: RTCPeerConnection): Promise<void> {
  await connection.setLocalDescription();
  if (connection.localDescription) {
    say({ to: id, description: connection.localDescription.toJSON() });
  }
}

function publish(connection: RTCPeerConnection): void {
  for (const track of mine?.getTracks() ?? []) {
    connection.addTrack(track, mine as MediaStream);
  }
}

function say(signal: Omit<Signal, "from">): void {
  channel.postMessage({ from: me, ...signal });
}

channel.onmessage = async ({ data }: MessageEvent<Signal>) => {
  const { from, to, description, candidate } = data;
  if (to !== undefined && to !== me) {
    return;
  }
  const connection = peer(from);
  if (to === undefined) {
    say({ to: from }); // somebody is new, and shall know us too
  } else if (candidate) {
    await connection.addIceCandidate(candidate);
  } else if (description) {
    const crossed = description.type === "offer" && connection.signalingState !== "stable";
    if (crossed && me > from) {
      return; // of two offers that cross one counts: the other tab takes its own back
    }
    await connection.setRemoteDescription(description);
    if (description.type === "offer") {
      await describe(from, connection);
    }
  }
};

document.querySelector("form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target as HTMLFormElement);
  try {
    status.textContent = "The avatar is being made …";
    const session = await new AvatarClient(SERVICE).createSession({
      portrait: form.get("portrait") as File,
      consent: form.get("consent") === "on",
    });
    session.on("state", (state) => {
      status.textContent = `Your avatar is ${state}.`;
    });
    const camera = new JpegCamera();
    camera.on("image", ({ jpeg, timestampUs }) => session.sendCamera(jpeg, timestampUs));
    await camera.start();
    mine = session.captureStream(24);
    others.forEach(publish);
    addEventListener("pagehide", () => session.close());
  } catch (error) {
    status.textContent = String(error); // an AvatarError says what to do
  }
});

say({}); // here I am
