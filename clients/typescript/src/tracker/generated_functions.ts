/**
 * `Function` as embind uses it, without evaluating strings.
 *
 * MediaPipe's WebAssembly was built with an embind that writes source text for every function it exports and hands it
 * to `new Function`, which a page without 'unsafe-eval' in its content security policy refuses. It writes only three
 * kinds of text, and everything they depend on comes as parameters; so the functions are put together here instead.
 * Emscripten does the same in builds with DYNAMIC_EXECUTION=0.
 */

type Fn = (this: unknown, ...values: unknown[]) => unknown;

/** How embind turns one kind of value into another. */
interface BoundType {
  readonly isVoid?: boolean;
  readonly argPackAdvance: number;
  toWireType(destructors: unknown[] | null, value: unknown): unknown;
  fromWireType(value: unknown): unknown;
  readValueFromPointer(pointer: number): unknown;
  deleteObject?(value: unknown): void;
}

/** The parameters of the text by their names. */
type Given = Readonly<Record<string, unknown>>;

/** Stands in for the constructor `Function`: parameter names, then the text. */
export function generatedFunction(...parts: string[]): Fn {
  const text = parts.at(-1) ?? "";
  const names = parts.slice(0, -1);
  const name = /^return function ([\w$]+)\(/.exec(text)?.[1];
  if (name === undefined) {
    throw new EvalError(`text of an unknown kind was to become a function: ${text.slice(0, 80)}`);
  }
  return (...values) => {
    const given = Object.fromEntries(names.map((key, i) => [key, values[i]]));
    const types = values.filter((_, i) => /^argType\d+$/.test(names[i] ?? "")) as BoundType[];
    return Object.defineProperty(assemble(name, text, given, types), "name", { value: name });
  };
}

generatedFunction.prototype = Function.prototype;

function assemble(name: string, text: string, given: Given, types: readonly BoundType[]): Fn {
  if (given["invoker"]) {
    return invoker(name, text, given, types);
  }
  if (given["retType"]) {
    return methodCaller(given["retType"] as BoundType, types);
  }
  const body = given["body"] as Fn | undefined;
  if (!body) {
    throw new EvalError(`function ${name} is of an unknown kind`);
  }
  return function (...values) {
    return body.apply(this, values);
  };
}

/** Calls into WebAssembly: converts `this` and the arguments, calls, frees, converts the result. */
function invoker(name: string, text: string, given: Given, types: readonly BoundType[]): Fn {
  const call = given["invoker"] as Fn;
  const throwBindingError = given["throwBindingError"] as (message: string) => never;
  const runDestructors = given["runDestructors"] as (destructors: unknown[]) => void;
  const result = given["retType"] as BoundType;
  const self = text.includes("var thisWired =") ? (given["classParam"] as BoundType) : null;
  const collects = text.includes("var destructors = []");
  const returns = text.includes("var rv =");
  const names = [...(self ? ["thisWired"] : []), ...types.map((_, i) => `arg${i}Wired`)];
  const frees = names.map((wired) => given[`${wired}_dtor`] as ((value: unknown) => void) | undefined);
  return function (...values) {
    if (values.length !== types.length) {
      throwBindingError(`function ${name} called with ${values.length} arguments, expected ${types.length} args!`);
    }
    const destructors: unknown[] | null = collects ? [] : null;
    const wired = self ? [self.toWireType(destructors, this)] : [];
    for (const [i, type] of types.entries()) {
      wired.push(type.toWireType(destructors, values[i]));
    }
    const value = call(given["fn"], ...wired);
    if (destructors) {
      runDestructors(destructors);
    } else {
      wired.forEach((one, i) => {
        frees[i]?.(one);
      });
    }
    return returns ? result.fromWireType(value) : undefined;
  };
}

/** Calls a method of a JavaScript object from WebAssembly; the arguments lie packed at a pointer. */
function methodCaller(result: BoundType, types: readonly BoundType[]): Fn {
  let next = 0;
  const offsets = types.map(({ argPackAdvance }) => {
    next += argPackAdvance;
    return next - argPackAdvance;
  });
  return (handle, method, destructors, pointer) => {
    const values = types.map((type, i) => type.readValueFromPointer((pointer as number) + (offsets[i] as number)));
    const value = (handle as Record<string, Fn>)[method as string]?.(...values);
    types.forEach((type, i) => {
      type.deleteObject?.(values[i]);
    });
    return result.isVoid ? undefined : result.toWireType(destructors as unknown[], value);
  };
}
