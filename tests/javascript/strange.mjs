/** Values that people log, or that break what is careless: each is a function, because some can be used once only. */

class Shop {
  #secret = 1;
}

class Money {
  constructor() {
    this.cents = 5;
  }

  toJSON() {
    return { amount: this.cents / 100 };
  }
}

const throwing = () => {
  throw new Error("boom");
};

/** A proxy of which nothing can be read. */
const closed = () => new Proxy({}, new Proxy({}, { get: () => throwing }));

export const STRANGE = {
  bigint: () => 2n ** 64n,
  "small bigint": () => 5n,
  "huge bigint": () => 10n ** 5000n,
  symbol: () => Symbol("s"),
  "symbol key": () => ({ [Symbol("s")]: 1, a: 2 }),
  function: () => function buy() {},
  "function without a name": () => () => {},
  class: () => Shop,
  instance: () => new Shop(),
  toJSON: () => new Money(),
  "toJSON throws": () => ({ toJSON: throwing }),
  "toJSON without end": () => {
    const make = () => ({ toJSON: make });
    return make();
  },
  "toJSON itself": () => {
    const made = { a: 1, toJSON: () => made };
    return made;
  },
  "getter throws": () => ({ a: 1, get b() { return throwing(); }, c: 3 }),
  closed,
  "revoked proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  "revoked function": () => {
    const { proxy, revoke } = Proxy.revocable(() => {}, {});
    revoke();
    return proxy;
  },
  "revoked array": () => {
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    return proxy;
  },
  "map behind a proxy": () => new Proxy(new Map([[1, 2]]), {}),
  "nothing but a throwing conversion": () => ({ toString: throwing, valueOf: throwing, [Symbol.toPrimitive]: throwing }),
  "a then that throws": () => ({ get then() { return throwing(); } }),
  "negative infinity": () => -Infinity,
  "array with a hole": () => [1, , 3], // eslint-disable-line no-sparse-arrays
  undefined: () => undefined,
  "undefined in": () => ({ a: undefined, b: [undefined] }),
  date: () => new Date(0),
  "invalid date": () => new Date(NaN),
  map: () => new Map([[{ a: 1 }, 1], ["b", new Map()]]),
  set: () => new Set([1, new Set(["a"])]),
  "weak map": () => new WeakMap(),
  promise: () => Promise.resolve(1),
  regexp: () => /a+/g,
  url: () => new URL("https://shop/?token=abc"),
  "url parameters": () => new URLSearchParams("a=1&password=x"),
  headers: () => new Headers({ Authorization: "Bearer abc", Accept: "x" }),
  buffer: () => Buffer.from("abc"),
  "binary buffer": () => Buffer.from([255, 0, 254]),
  "typed array": () => new Float32Array([1.5, NaN]),
  "array buffer": () => new ArrayBuffer(3),
  "no prototype": () => Object.assign(Object.create(null), { a: 1 }),
  "boxed": () => [Object("text"), Object(5), Object(true), Object(5n)],
  "lone surrogates": () => ({ "\ud800": "\udfff", "\0": "\0" }),
  "deep": () => {
    let deep = {};
    for (let level = 0; level < 100_000; level++) deep = { deep };
    return deep;
  },
  "cycle through a map": () => {
    const map = new Map();
    map.set("map", map);
    return map;
  },
  "many fields": () => Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`field ${index}`, index])),
  "many items": () => Array.from({ length: 1_000_000 }, (_, index) => index),
  "wide and deep": () => {
    const make = (level) => (level ? Array.from({ length: 12 }, () => make(level - 1)) : "leaf");
    return make(5);
  },
  "long text": () => "x".repeat(3_000_000),
  "long text of several bytes": () => "\u{1F600}".repeat(200_000),
  "long name": () => ({ ["n".repeat(1_000_000)]: 1 }),
  "endless entries": () => ({ get: () => 1, *entries() { for (let number = 0; ; number++) yield [number, number]; } }),
  error: () => new TypeError("no"),
  "error with causes": () => new Error("outer", { cause: new RangeError("inner", { cause: "text" }) }),
  "error that is its own cause": () => {
    const error = new Error("loop");
    error.cause = error;
    return error;
  },
  "aggregate error": () => new AggregateError([new Error("one"), "two"], "both"),
  "error whose parts throw": () => {
    const error = new Error("x");
    // V8 makes the text of the stack when it is first read, from the name and the message.
    void error.stack;
    for (const name of ["stack", "message", "name", "cause"]) Object.defineProperty(error, name, { get: throwing });
    return error;
  },
  "error with a symbol as message": () => Object.assign(new Error(), { message: Symbol("m"), stack: Symbol("s") }),
  "error with an object as stack": () => Object.assign(new Error("x"), { stack: { a: 1 } }),
  "DOM node": () => ({ nodeType: 1, nodeName: "DIV", id: "main", className: "a b", parentNode: null }),
  "window": () => {
    const made = { document: { nodeType: 9, nodeName: "#document" } };
    return Object.assign(made, { window: made, self: made });
  },
};

/** Those that are cut. */
export const LARGE = ["many fields", "many items", "wide and deep", "long text", "long text of several bytes", "long name", "endless entries"];
