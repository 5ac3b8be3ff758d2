/** The real services that tests/test_typescript.py has started, and a network that can break. */

import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, type Socket } from "node:net";

/** What the test is told of them in the environment variable AVATAR_LIVE. */
export interface Live {
  /** A service without a token: "host:port" of gRPC and of the web. */
  grpc: string;
  web: string;
  /** Another one of the same kind. */
  spareGrpc: string;
  spareWeb: string;
  /** One with TLS and a key; `authority` is the file of the authority to trust. */
  secureGrpc: string;
  secureWeb: string;
  authority: string;
  key: string;
  /** Files: a portrait, a JPEG of a face, recorded poses. */
  portrait: string;
  camera: string;
  poses: string;
}

/** The services' addresses; null = nobody has started any. */
export const live: Live | null = process.env["AVATAR_LIVE"] ? JSON.parse(process.env["AVATAR_LIVE"]) : null;

/** A TCP connection in between. */
export class Network {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  target: string;

  constructor(target: string) {
    this.target = target;
    this.#server = createServer((here) => {
      const [host, port] = this.target.split(":");
      const there = connect(Number(port), host);
      for (const socket of [here, there]) {
        this.#sockets.add(socket);
        socket.setNoDelay();
        socket.on("error", () => undefined);
        socket.on("close", () => {
          here.destroy();
          there.destroy();
          this.#sockets.delete(socket);
        });
      }
      here.pipe(there).pipe(here);
    });
  }

  /** Listens; gives its own address. */
  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts every connection; new ones go through. */
  cut(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
