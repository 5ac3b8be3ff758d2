import { readFileSync } from "node:fs";
import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { errorFromDetails } from "../src/error_wire.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../src/gen/errors_pb.js";
import { errorClass } from "../src/index.js";
import { errorFromAnswer, errorFromClose } from "../src/web/errors.js";

const HERE = "http://server";

/** The classes of the Python client: name, parent, and what they state themselves. */
function pythonTree(): { name: string; parent: string; reason?: string; code?: string; retryable: boolean }[] {
  const source = readFileSync(new URL("../../python/avatar_client/errors.py", import.meta.url), "utf8");
  return [...source.matchAll(/^class (\w+)\((\w+)\):\n([\s\S]*?)(?=^class |^def )/gm)].map(
    ([, name, parent, body]) => ({
      name: String(name),
      parent: String(parent),
      reason: /reason(?:: ClassVar\[str\])? = "(\w+)"/.exec(String(body))?.[1] as string,
      ...(/ code = "(\w+)"/.test(String(body)) && { code: / code = "(\w+)"/.exec(String(body))?.[1] as string }),
      retryable: /retryable = True/.test(String(body)),
    }),
  );
}

describe("the tree of errors", () => {
  test("is the one of the Python client: names, parents, reasons, codes", () => {
    const tree = pythonTree();
    expect(tree.length).toBeGreaterThan(15);
    for (const { name, parent, reason, code, retryable } of tree) {
      const Class = errorClass(String(reason));
      const error = Class && new Class("said");
      expect(error).toMatchObject({ name, reason, retryable, message: "said", field: "", ...(code && { code }) });
      expect(Object.getPrototypeOf(error?.constructor).name).toBe(parent === "Exception" ? "Error" : parent);
    }
  });

  test("knows no reason that is a word of the language", () => {
    expect(errorClass("constructor")).toBeUndefined();
  });
});

describe("an HTTP answer", () => {
  const detail = (schema: Parameters<typeof toBinary>[0], value: Record<string, unknown>) => ({
    type: schema.typeName,
    value: base64Encode(toBinary(schema, create(schema, value))),
  });

  test("becomes the error the server raised, with its field and its time to wait", () => {
    const details = [
      detail(ErrorInfoSchema, { reason: "INVALID_PORTRAIT" }),
      detail(BadRequestSchema, { fieldViolations: [{ field: "portrait" }] }),
      detail(RetryInfoSchema, { retryDelay: { seconds: 2n, nanos: 500_000_000 } }),
    ];
    const body = JSON.stringify({ code: "invalid_argument", message: "no face was found", details });
    expect(errorFromAnswer(400, body, HERE)).toMatchObject({
      name: "InvalidPortraitError",
      code: "INVALID_ARGUMENT",
      message: "no face was found",
      field: "portrait",
      retryAfterS: 2.5,
    });
  });

  test.each([
    [502, "<html>bad gateway</html>", "ConnectionLostError"],
    [403, "", "AuthenticationError"],
    [404, "not found", "ProtocolError"],
    [413, "too large", "InvalidInputError"],
    [500, "null", "AvatarError"],
    [200, "<html>a page</html>", "AvatarError"],
    [429, '{"code":"resource_exhausted"}', "NoCapacityError"],
  ])("of something in between, %s %j, is the nearest error", (status, body, name) => {
    expect(errorFromAnswer(status, body, HERE).name).toBe(name);
  });

  test("with a reason of a newer server is the nearest by code", () => {
    const value = toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "NEW" }));
    expect(errorFromDetails("said", [{ type: "google.rpc.ErrorInfo", value }])).toBeUndefined();
  });
});

describe("a WebSocket's close", () => {
  const said = {
    $typeName: "avatar.v1.StreamError" as const,
    message: "why",
    retryable: false,
    field: "f",
    retryAfterS: 2,
  };

  test.each([
    [1000, null, null],
    [1001, null, null],
    [1006, null, "ConnectionLostError"],
    [1009, null, "InvalidInputError"],
    [1012, null, "ConnectionLostError"],
    [4003, "INVALID_POSE", "InvalidPoseError"],
    [4003, "FROM_THE_FUTURE", "InvalidInputError"],
    [4004, null, "TimeoutExceededError"],
    [4005, null, "SessionNotFoundError"],
    [4006, null, "SessionBusyError"],
    [4008, null, "NoCapacityError"],
    [4009, null, "ProtocolError"],
    [4010, null, "SessionStateLostError"],
    [4013, "INTERNAL", "AvatarError"],
    [4014, "SERVER_DRAINING", "ServerDrainingError"],
    [4016, null, "AuthenticationError"],
  ])("with %s and reason %j is %j", (code, reason, name) => {
    const error = errorFromClose(code, "", reason === null ? null : { ...said, reason }, HERE);
    expect(error?.name ?? null).toBe(name);
  });

  test("keeps what the server said", () => {
    expect(errorFromClose(4003, "", { ...said, reason: "INVALID_POSE" }, HERE)).toMatchObject({
      message: "why",
      field: "f",
      retryAfterS: 2,
    });
  });
});
