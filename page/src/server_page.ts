/** What the server tells its page before anything begins. */

/** Answer of `/v1/info`. */
export interface PageInfo {
  version: string;
  model: string;
  /** Whether `/tracker/` has the files for tracking in the page. */
  tracker_assets: boolean;
  /** Whether the server tracks pictures of the driver. */
  server_tracking: boolean;
  /** Whether the server's machine has a virtual camera for its own user. */
  virtual_camera: boolean;
  whep: boolean;
  requires_token: boolean;
}

/** Asks; null when nothing answers as a server of avatars does. */
export async function pageInfo(): Promise<PageInfo | null> {
  try {
    const answer = await fetch("/v1/info", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    return answer.ok ? ((await answer.json()) as PageInfo) : null;
  } catch {
    return null;
  }
}

/**
 * Starts or stops the virtual camera that is fed by a session.
 *
 * @throws Error with the server's words.
 */
export async function switchVirtualCamera(session: { id: string; resumeToken: string }, on: boolean): Promise<void> {
  const answer = await fetch(`/v1/sessions/${encodeURIComponent(session.id)}/virtual-camera`, {
    method: on ? "POST" : "DELETE",
    headers: { authorization: `Bearer ${session.resumeToken}` },
  });
  if (!answer.ok) {
    const said = (await answer.json().catch(() => ({}))) as { message?: string };
    throw new Error(said.message ?? `the server answered ${answer.status}`);
  }
}
