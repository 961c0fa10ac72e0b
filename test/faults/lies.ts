/** Answers that are not what they should be: from wholly arbitrary bytes to a right answer with one field wrong. */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import type { Answer } from "../../sim/answering.ts";
import { type Field, fieldsOf } from "../support/fields.ts";

/** What is done to one right answer. */
export type Lie =
  | { readonly do: "truth" }
  /** HTTP, with anything in it. */
  | {
      readonly do: "anything";
      readonly status: number;
      readonly type: string;
      readonly body: Uint8Array;
    }
  /** Not even HTTP. */
  | { readonly do: "noise"; readonly bytes: Uint8Array }
  | { readonly do: "status"; readonly status: number }
  | { readonly do: "headers"; readonly headers: Readonly<Record<string, string>> }
  /** The body ends early: as if it were whole, by a broken connection, or never. */
  | { readonly do: "truncate"; readonly at: number; readonly how: "whole" | "cut" | "stall" }
  | { readonly do: "flip"; readonly at: readonly number[] }
  /** Fields are counted modulo how many there are. */
  | { readonly do: "replace"; readonly field: number; readonly by: string }
  | { readonly do: "swap"; readonly a: number; readonly b: number }
  | { readonly do: "drop"; readonly field: number }
  | { readonly do: "repeat"; readonly field: number; readonly times: number }
  | { readonly do: "nest"; readonly field: number; readonly depth: number }
  | { readonly do: "encode"; readonly as: "utf16le" | "latin1" | "gzip" | "gzip, unsaid" | "bom" }
  | {
      readonly do: "error";
      readonly code: string;
      readonly message: string;
      readonly status: number;
    };

/** What goes over the wire. */
export type Told =
  | { readonly raw: Uint8Array }
  | {
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
      readonly ending: "whole" | "cut" | "stall";
    };

// --- which lies ---

const STATUS = fc.oneof(
  fc.constantFrom(200, 201, 204, 206, 302, 304, 400, 401, 403, 404, 405, 429, 500, 502, 503, 504),
  fc.integer({ min: 200, max: 999 }),
);

/** Values that have broken parsers. */
const VALUE = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    "null",
    "undefined",
    "[]",
    "{}",
    '""',
    "0",
    "-1",
    "1e999",
    "NaN",
    "true",
    "__proto__",
    "constructor",
    "&#0;",
    "&lol;",
    "&amp;&lt;",
    "<![CDATA[x]]>",
    "<item/>",
    "<item><item>1</item></item>",
    "i-0",
    "i-0ffffffffffffffff",
    "eni-0ffffffffffffffff",
    "eipalloc-0ffffffffffffffff",
    "us-east-1-",
    "999.999.999.999",
    "0.0.0.0",
    "ff:ff:ff:ff:ff:ff",
    "running",
    "terminated",
    "pending",
    "Success",
    "2026-02-30T25:61:61Z",
    "+275760-09-13T00:00:00.001Z",
    "0000-00-00",
    "1700000000",
    "\u0000",
    "\ud83d\ude00",
    "a\nb\r\nc",
    "\u001b[31m",
    "../../../etc/passwd",
    "%00%ff%zz",
    "<!DOCTYPE html><html></html>",
  ),
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom(1_000, 70_000, 300_000).map((length) => "x".repeat(length)),
);

const HEADERS = fc.dictionary(
  fc.constantFrom(
    "date",
    "content-type",
    "content-encoding",
    "location",
    "retry-after",
    "x-amzn-requestid",
    "x-amz-retry-after",
    "server",
    "connection",
    "set-cookie",
    "upgrade",
  ),
  fc.oneof(
    fc.constantFrom(
      "",
      "gzip",
      "br",
      "close",
      "Thu, 01 Jan 1970 00:00:00 GMT",
      "Fri, 31 Dec 9999 23:59:59 GMT",
      "never",
      "text/html",
      "http://127.0.0.1:9/",
    ),
    fc.stringMatching(/^[ -~]{0,60}$/),
  ),
  { maxKeys: 4 },
);

const CODE = fc.oneof(
  fc.constantFrom(
    "AuthFailure",
    "UnauthorizedOperation",
    "RequestLimitExceeded",
    "RequestExpired",
    "InvalidInstanceID",
    "InvalidInstanceID.NotFound",
    "InvalidAllocationID.NotFound",
    "Resource.AlreadyAssociated",
    "IncorrectInstanceState",
    "InternalError",
    "__proto__",
    "toString",
    "",
    "TimeoutError",
    "AbortError",
    "TypeError",
  ),
  fc.stringMatching(/^[A-Za-z.]{1,30}$/),
);

const FIELD = fc.nat({ max: 60 });

const BODIES: fc.Arbitrary<Lie>[] = [
  fc.record({
    do: fc.constant("anything" as const),
    status: STATUS,
    type: fc.constantFrom("text/xml;charset=UTF-8", "text/plain", "text/html", "application/json"),
    body: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ unit: "binary", maxLength: 200 }).map((text) => Buffer.from(text)),
      fc.json().map((text) => Buffer.from(text)),
    ),
  }),
  fc.record({ do: fc.constant("status" as const), status: STATUS }),
  fc.record({ do: fc.constant("headers" as const), headers: HEADERS }),
  fc.record({
    do: fc.constant("truncate" as const),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    how: fc.constantFrom("whole" as const, "whole" as const, "cut" as const),
  }),
  fc.record({
    do: fc.constant("flip" as const),
    at: fc.array(fc.nat({ max: 100_000 }), { minLength: 1, maxLength: 6 }),
  }),
  ...[0, 1, 2].map(() =>
    fc.record({ do: fc.constant("replace" as const), field: FIELD, by: VALUE }),
  ),
  fc.record({ do: fc.constant("swap" as const), a: FIELD, b: FIELD }),
  fc.record({ do: fc.constant("drop" as const), field: FIELD }),
  fc.record({
    do: fc.constant("repeat" as const),
    field: FIELD,
    times: fc.constantFrom(2, 3, 500),
  }),
  fc.record({
    do: fc.constant("nest" as const),
    field: FIELD,
    depth: fc.constantFrom(1, 10, 3_000),
  }),
  fc.record({
    do: fc.constant("encode" as const),
    as: fc.constantFrom("utf16le", "latin1", "gzip", "gzip, unsaid", "bom"),
  }),
  fc.record({
    do: fc.constant("error" as const),
    code: CODE,
    message: fc.string({ maxLength: 80 }),
    status: STATUS,
  }),
];

/** Any one lie. The rarest is silence in the middle of an answer, because it costs time. */
export const LIE: fc.Arbitrary<Lie> = fc.oneof(
  { weight: 200, arbitrary: fc.oneof(...BODIES) },
  {
    weight: 15,
    arbitrary: fc.record({
      do: fc.constant("noise" as const),
      bytes: fc.uint8Array({ maxLength: 200 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("truncate" as const),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      how: fc.constant("stall" as const),
    }),
  },
);

/** What becomes of the answers of a run, one after the other; after the last one all are right. */
export const PLAN: fc.Arbitrary<Lie[]> = fc.oneof(
  fc.array(fc.oneof({ weight: 12, arbitrary: fc.constant<Lie>({ do: "truth" }) }, LIE), {
    minLength: 20,
    maxLength: 120,
  }),
  // One wrong one in a row of right ones gets further.
  fc
    .tuple(fc.nat({ max: 40 }), LIE)
    .map(([before, lie]) => [...Array<Lie>(before).fill({ do: "truth" }), lie]),
  fc.array(LIE, { minLength: 10, maxLength: 60 }),
);

// --- telling them ---

/** The right answer, made wrong. */
export function tell(right: Answer, lie: Lie): Told {
  const whole = (body: string | Uint8Array, change: Partial<Answer> = {}): Told => ({
    status: change.status ?? right.status,
    headers: change.headers ?? right.headers,
    body: Buffer.from(body as string),
    ending: "whole",
  });
  const text = right.body;
  switch (lie.do) {
    case "truth":
      return whole(text);
    case "anything":
      return whole(lie.body, { status: lie.status, headers: { "content-type": lie.type } });
    case "noise":
      return { raw: lie.bytes };
    case "status":
      return whole(text, { status: lie.status });
    case "headers":
      return whole(text, { headers: { ...right.headers, ...lie.headers } });
    case "truncate":
      return {
        status: right.status,
        headers: right.headers,
        body: Buffer.from(text).subarray(0, Math.floor(Buffer.byteLength(text) * lie.at)),
        ending: lie.how,
      };
    case "flip": {
      const bytes = Buffer.from(text);
      for (const at of lie.at) {
        const index = at % Math.max(1, bytes.length);
        if (bytes.length > 0) bytes[index] = (bytes[index] ?? 0) ^ (1 << (at % 8));
      }
      return whole(bytes);
    }
    case "replace":
      return whole(edit(text, lie.field, ({ value }) => value && [value, lie.by]));
    case "swap": {
      const [a, b] = [nth(text, lie.a), nth(text, lie.b)].toSorted((x, y) => x.at - y.at);
      if (a === undefined || b === undefined || a.at + a.value.length > b.at) return whole(text);
      return whole(
        text.slice(0, a.at) +
          b.value +
          text.slice(a.at + a.value.length, b.at) +
          a.value +
          text.slice(b.at + b.value.length),
      );
    }
    case "drop":
      return whole(edit(text, lie.field, ({ all }) => [all, ""]));
    case "repeat":
      return whole(edit(text, lie.field, ({ all }) => [all, all.repeat(lie.times)]));
    case "nest": {
      const [open, close] = text.trimStart().startsWith("{") ? ["[", "]"] : ["<a>", "</a>"];
      return whole(
        edit(text, lie.field, ({ value }) => [
          value,
          open.repeat(lie.depth) + value + close.repeat(lie.depth),
        ]),
      );
    }
    case "encode":
      switch (lie.as) {
        case "gzip":
          return whole(gzipSync(text), {
            headers: { ...right.headers, "content-encoding": "gzip" },
          });
        case "gzip, unsaid":
          return whole(gzipSync(text));
        case "bom":
          return whole(`\ufeff${text}`);
        default:
          return whole(Buffer.from(text, lie.as));
      }
    case "error":
      return whole(
        `<?xml version="1.0"?><Response><Errors><Error><Code>${lie.code}</Code><Message>${lie.message}</Message></Error></Errors><RequestID>r</RequestID></Response>`,
        { status: lie.status },
      );
  }
}

/** The nth field, counted modulo how many there are; of none the whole. */
function nth(text: string, n: number): Field {
  const fields = fieldsOf(text);
  const whole = { name: "", all: text, allAt: 0, value: text, at: 0 };
  return fields[n % Math.max(1, fields.length)] ?? whole;
}

/** The text with one part of one field replaced. */
function edit(
  text: string,
  n: number,
  change: (field: Field) => readonly [part: string, by: string] | "",
): string {
  const field = nth(text, n);
  const changed = change(field);
  if (changed === "") return text;
  const [part, by] = changed;
  const at = part === field.all ? field.allAt : field.at;
  return text.slice(0, at) + by + text.slice(at + part.length);
}
