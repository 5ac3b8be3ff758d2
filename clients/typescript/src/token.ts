/** The secret a server asks for. */
import { unlessAborted } from "./abort.js";
import { AvatarError, ConnectionLostError } from "./errors.js";

/** The server's key, or a function that fetches a short-lived token for one call. */
export type Token = string | (() => string | Promise<string>);

/**
 * The token itself; whatever else happens, the wait for it ends when `signal` aborts.
 *
 * @throws ConnectionLostError it could not be fetched; an AvatarError of the function's own passes.
 */
export async function fetched(token: Token, signal?: AbortSignal): Promise<string> {
  if (typeof token === "string") {
    return token;
  }
  try {
    return await unlessAborted(Promise.resolve(token()), signal);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof AvatarError) {
      throw error;
    }
    throw new ConnectionLostError(`a token for the service could not be fetched: ${String(error)}`, { cause: error });
  }
}
