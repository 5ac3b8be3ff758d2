/** A server whose every answer is written in the test, on a real port. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { type WebSocket as Socket, WebSocket, WebSocketServer } from "ws";
import * as pb from "../src/gen/avatar_pb.js";
import { ErrorInfoSchema } from "../src/gen/errors_pb.js";
import { AvatarClient, type ClientOptions } from "../src/index.js";

/** What the server says to one unary call: an answer, or a refusal. */
export type Answer = { [Name in string]?: unknown } | Refusal;

/** An error as the Connect protocol carries it. */
export class Refusal {
  constructor(
    readonly status: number,
    readonly body: string,
  ) {}

  static of(status: number, code: string, reason: string, message: string): Refusal {
    const value = base64Encode(toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { reason })));
    return new Refusal(status, JSON.stringify({ code, message, details: [{ type: "google.rpc.ErrorInfo", value }] }));
  }
}

/** One unary call as it came. */
export interface Call {
  method: string;
  authorization: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: a test knows which message it asked for
  message: any;
}

/** One stream, from the server's side. */
export class ServerStream {
  readonly config: pb.StreamConfig;
  readonly heard: pb.StreamRequest[] = [];
  readonly #socket: Socket;

  constructor(socket: Socket, config: pb.StreamConfig) {
    this.#socket = socket;
    this.config = config;
  }

  say(message: NonNullable<MessageInitShape<typeof pb.StreamResponseSchema>["message"]>): void {
    this.#socket.send(toBinary(pb.StreamResponseSchema, create(pb.StreamResponseSchema, { message })));
  }

  ready(state: pb.SessionState = pb.SessionState.READY): void {
    this.say({ case: "ready", value: { config: this.config, state, fps: 24 } });
  }

  frame(seq: number, more: MessageInitShape<typeof pb.FrameSchema> = {}): void {
    const frame = { seq: BigInt(seq), encoding: pb.Encoding.JPEG, key: true, widthPx: 4, heightPx: 4, generated: true };
    this.say({ case: "frame", value: { ...frame, ...more } });
  }

  close(code: number, reason = ""): void {
    this.#socket.close(code, reason);
  }

  /** Cuts the connection as a network does. */
  cut(): void {
    this.#socket.terminate();
  }

  /** Stops reading from the socket. */
  stall(): void {
    this.#socket.pause();
  }

  goOn(): void {
    this.#socket.resume();
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  /** What came of one kind. */
  all<Case extends NonNullable<pb.StreamRequest["message"]["case"]>>(
    kind: Case,
  ): Extract<pb.StreamRequest["message"], { case: Case }>["value"][] {
    return this.heard.flatMap(({ message }) => (message.case === kind ? [message.value as never] : []));
  }
}

/** HTTP and WebSocket on one port, as the service has them. */
export class ScriptedServer {
  readonly calls: Call[] = [];
  readonly streams: ServerStream[] = [];
  /** What is answered, by method; absent = the plain success. */
  answers: Partial<Record<string, (call: Call) => Answer | Promise<Answer>>> = {};
  /** What happens when a stream has begun. Default: it is ready. */
  begin: (stream: ServerStream) => void = (stream) => stream.ready();
  /** What happens at every later message. */
  react: (stream: ServerStream, request: pb.StreamRequest) => void = () => undefined;
  #http: Server | null = null;
  #sockets = new WebSocketServer({ noServer: true });
  #port = 0;

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** A client of it that is quick to try again. */
  client(options: ClientOptions = {}): AvatarClient {
    const reconnect = { baseMs: 5, maxDelayMs: 20 };
    return new AvatarClient(this.address, {
      reconnect,
      webSocket: WebSocket as unknown as typeof globalThis.WebSocket,
      ...options,
    });
  }

  /** Listens; after `stop` on the same port as before. */
  async start(): Promise<this> {
    const http = createServer((request, response) => void this.#serve(request, response));
    http.on("upgrade", (request, socket, head) => {
      this.#sockets.handleUpgrade(request, socket, head, (one) => this.#accept(one));
    });
    await new Promise<void>((resolve) => http.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (http.address() as AddressInfo).port;
    this.#http = http;
    return this;
  }

  /** Is gone, like a process that died. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets.clients) {
      socket.terminate();
    }
    const http = this.#http;
    this.#http = null;
    http?.closeAllConnections();
    await new Promise((resolve) => (http ? http.close(resolve) : resolve(null)));
  }

  /** How often a method was called. */
  count(method: string): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk as Buffer);
    }
    const name = request.url?.split("/").pop() ?? "";
    const method = pb.AvatarService.methods.find((one) => one.name === name) as DescMethod;
    const message = fromBinary(method.input, new Uint8Array(Buffer.concat(chunks)));
    const call = { method: name, authorization: request.headers.authorization, message };
    this.calls.push(call);
    const answer = await (this.answers[name] ?? (() => plain(name)))(call);
    if (answer instanceof Refusal) {
      response.writeHead(answer.status, { "Content-Type": "application/json" }).end(answer.body);
      return;
    }
    const bytes = toBinary(method.output, create(method.output, answer as never) as MessageShape<DescMessage>);
    response.writeHead(200, { "Content-Type": "application/proto" }).end(bytes);
  }

  #accept(socket: Socket): void {
    let stream: ServerStream | null = null;
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer) => {
      const request = fromBinary(pb.StreamRequestSchema, new Uint8Array(data));
      if (stream === null) {
        stream = new ServerStream(socket, request.message.value as pb.StreamConfig);
        this.streams.push(stream);
        this.begin(stream);
      } else {
        stream.heard.push(request);
        this.react(stream, request);
      }
    });
  }
}

function plain(method: string): Answer {
  return method === "CreateSession"
    ? { sessionId: "one", resumeToken: "secret", widthPx: 4, heightPx: 4, faces: 1, affine: [1, 0, 0, 0, 1, 0] }
    : {};
}

/** Returns once `condition` holds; the test's own time limit is the only one. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
