import { afterEach, expect, test, vi } from "vitest";
import { CameraError, InvalidConfigError, MissingDependencyError } from "../src/errors.js";
import { generatedFunction } from "../src/tracker/generated_functions.js";
import { JpegCamera, listCameras, OneEuro, PoseTracker } from "../src/tracker/index.js";
import { Tempo } from "../src/tracker/tempo.js";

afterEach(() => vi.unstubAllGlobals());

type Fn = (...values: unknown[]) => unknown;

/** What embind would have evaluated. */
function evaluated(...parts: string[]): (...values: unknown[]) => Fn {
  return new Function(...parts) as (...values: unknown[]) => Fn;
}

const number = {
  isVoid: false,
  argPackAdvance: 8,
  toWireType: (_: unknown, value: unknown) => Number(value) * 2,
  fromWireType: (value: unknown) => Number(value) + 1,
  readValueFromPointer: (pointer: number) => pointer,
};

test("a named function does what its body does, under its name", () => {
  const text = ["body", 'return function Point() {\n    "use strict";    return body.apply(this, arguments);\n};\n'];
  const body = function (this: unknown, a: unknown) {
    return [this, a];
  };
  const made = [generatedFunction, evaluated].map((make) => make(...text)(body) as Fn);
  for (const one of made) {
    expect(one.name).toBe("Point");
    expect(one.call("me", 3)).toEqual(["me", 3]);
  }
});

test("an invoker converts, calls, frees and converts back as the evaluated text would", () => {
  const text =
    "return function Mesh$at(arg0, arg1) {\nif (arguments.length !== 2) {\nthrowBindingError('function Mesh.at called " +
    "with ' + arguments.length + ' arguments, expected 2 args!');\n}\nvar thisWired = classParam.toWireType(null, this);\n" +
    "var arg0Wired = argType0.toWireType(null, arg0); // int\nvar arg1Wired = argType1.toWireType(null, arg1); // int\n" +
    "var rv = invoker(fn, thisWired, arg0Wired, arg1Wired);\narg1Wired_dtor(arg1Wired); // int\n" +
    "var ret = retType.fromWireType(rv);\nreturn ret;\n}\n";
  const names = ["throwBindingError", "invoker", "fn", "runDestructors", "retType", "classParam"];
  const all = [...names, "argType0", "argType1", "arg1Wired_dtor", text];
  const results = [generatedFunction, evaluated].map((make) => {
    const told: unknown[] = [];
    const invoke = (...values: unknown[]) => {
      told.push(values);
      return 40;
    };
    const fail = (message: string) => {
      throw new TypeError(message);
    };
    const free = (value: unknown) => told.push(["freed", value]);
    const self = { toWireType: () => "this" };
    const made = make(...all)(fail, invoke, "fn", () => undefined, number, self, number, number, free) as Fn;
    told.push(made.call({}, 3, 4));
    expect(() => made.call({}, 1)).toThrow("1 arguments, expected 2 args!");
    return told;
  });
  expect(results[0]).toEqual([["fn", "this", 6, 8], ["freed", 8], 41]);
  expect(results[0]).toEqual(results[1]);
});

test("arguments that need a stack are freed through it", () => {
  const text =
    "return function hold(arg0) {\nif (arguments.length !== 1) {\nthrowBindingError('');\n}\nvar destructors = [];\n" +
    "var arg0Wired = argType0.toWireType(destructors, arg0); // text\ninvoker(fn, arg0Wired);\n" +
    "runDestructors(destructors);\n}\n";
  const names = ["throwBindingError", "invoker", "fn", "runDestructors", "retType", "classParam", "argType0", text];
  const results = [generatedFunction, evaluated].map((make) => {
    const freed: unknown[] = [];
    const type = {
      toWireType(stack: unknown[], value: unknown) {
        stack.push(value);
        return value;
      },
    };
    const run = (stack: unknown[]) => freed.push(...stack);
    const made = make(...names)(null, () => 1, "fn", run, number, null, type) as Fn;
    return [made("text"), freed];
  });
  expect(results[0]).toEqual([undefined, ["text"]]);
  expect(results[0]).toEqual(results[1]);
});

test("a method is called with the values that lie behind the pointer", () => {
  const text =
    "return function methodCaller_int_$int_int$(handle, name, destructors, args) {\n" +
    "    var arg0 = argType0.readValueFromPointer(args);\n    var arg1 = argType1.readValueFromPointer(args+8);\n" +
    "    var rv = handle[name](arg0, arg1);\n    return retType.toWireType(destructors, rv);\n};\n";
  for (const make of [generatedFunction, evaluated]) {
    const made = make("retType", "argType0", "argType1", text)(number, number, number) as Fn;
    const handle = {
      base: 1,
      add(a: number, b: number) {
        return this.base + a + b;
      },
    };
    expect(made(handle, "add", [], 100)).toBe(2 * (1 + 100 + 108));
  }
});

test("text of another kind is never run", () => {
  expect(() => generatedFunction("alert(1)")).toThrow(EvalError);
  expect(() => generatedFunction("x", "return function bad() { return x; }")(1)).toThrow(EvalError);
});

test("the filter calms what rests, follows what moves, and begins anew after a gap", () => {
  const filter = new OneEuro();
  const at = (value: number, k: number) => filter.filter(new Float32Array([value]), 33_333 * (k + 1))[0] ?? 0;
  const resting = Array.from({ length: 60 }, (_, k) => at(0.5 + (k % 2 ? 0.001 : -0.001), k));
  const spread = Math.max(...resting.slice(30)) - Math.min(...resting.slice(30));
  expect(spread).toBeLessThan(0.0016);
  const moving = Array.from({ length: 30 }, (_, k) => at(0.5 + 0.02 * k, 60 + k));
  expect(1.08 - (moving.at(-1) ?? 0)).toBeLessThan(0.04);
  filter.reset();
  expect(at(0.1, 100)).toBeCloseTo(0.1, 6);
});

test("the tempo counts the last five seconds only", () => {
  const tempo = new Tempo();
  for (let ms = 0; ms <= 10_000; ms += 50) {
    tempo.add(ms, ms < 5000 ? 90 : 10, 20);
  }
  const { fps, trackP50Ms, trackP95Ms, delayP50Ms } = tempo.read(10_000);
  expect(fps).toBeCloseTo(20, 5);
  expect([trackP50Ms, trackP95Ms, delayP50Ms]).toEqual([10, 10, 20]);
  expect(tempo.read(60_000)).toMatchObject({ fps: 0, trackP50Ms: 0 });
});

test("pages that may have no camera, and browsers that cannot track, are told why", async () => {
  await expect(listCameras()).rejects.toThrow(CameraError);
  await expect(listCameras()).rejects.toThrow("https pages and to localhost");
  await expect(PoseTracker.create({ assets: "/tracker/" })).rejects.toThrow(MissingDependencyError);
  await expect(PoseTracker.create({ assets: "/tracker/", backend: "tasks" })).rejects.toThrow(InvalidConfigError);
});

test("pictures for the server are neither huge nor of an unknown quality", () => {
  vi.stubGlobal("OffscreenCanvas", class {});
  expect(() => new JpegCamera({ widest: 4000 })).toThrow("widest is 4000; it must be in [64, 1280] pixels");
  expect(() => new JpegCamera({ quality: 80 })).toThrow("quality is 80; it must be in [0, 1]");
});
