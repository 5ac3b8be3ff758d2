/** One stream over a WebSocket: one protobuf message in each binary message. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ProtocolError } from "../errors.js";
import {
  type StreamError,
  type StreamRequest,
  StreamRequestSchema,
  type StreamResponse,
  StreamResponseSchema,
} from "../gen/avatar_pb.js";
import type { Stream, StreamListener } from "../transport.js";
import { errorFromClose } from "./errors.js";

const SUBPROTOCOL = "avatar.v1";
/** More than this in the socket means that it does not leave: one pose has 6 kB. Unit: bytes. */
const CROWDED = 8192;
const OPEN = 1;

/** A WebSocket as a stream. */
export class SocketStream implements Stream {
  readonly #socket: WebSocket;
  #said: StreamError | null = null;
  #over = false;

  constructor(url: URL, address: string, Socket: typeof WebSocket, listener: StreamListener) {
    const socket = new Socket(url, SUBPROTOCOL);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => listener.writable();
    socket.onmessage = ({ data }) => {
      if (this.#over) {
        return;
      }
      const response = data instanceof ArrayBuffer ? parsed(data) : null;
      if (response === null) {
        this.close();
        const what = data instanceof ArrayBuffer ? `${data.byteLength} bytes that are no message` : "text";
        listener.ended(new ProtocolError(`${address} sent ${what}; does it speak avatar.v1?`));
        return;
      }
      if (response.message.case === "error") {
        this.#said = response.message.value;
      } else {
        listener.received(response);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (!this.#over) {
        this.#over = true;
        listener.ended(errorFromClose(code, reason, this.#said, address));
      }
    };
    socket.onerror = () => undefined; // "close" follows and tells more
  }

  get writable(): boolean {
    return this.#socket.readyState === OPEN && this.#socket.bufferedAmount < CROWDED;
  }

  send(request: StreamRequest): void {
    this.#socket.send(toBinary(StreamRequestSchema, request) as Uint8Array<ArrayBuffer>);
  }

  close(): void {
    this.#over = true;
    this.#socket.close(1000);
  }
}

/** null = it is no StreamResponse. */
function parsed(data: ArrayBuffer): StreamResponse | null {
  try {
    return fromBinary(StreamResponseSchema, new Uint8Array(data));
  } catch (error) {
    if (error instanceof Error) {
      return null; // protobuf has no class of its own for bytes that end early or name no field
    }
    throw error;
  }
}
