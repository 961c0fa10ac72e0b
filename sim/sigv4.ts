/** Checks AWS Signature Version 4 on a request, as the EC2 endpoint does. */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

import type { Credentials } from "./credentials.ts";
import { Ec2Error, authFailure } from "./errors.ts";
import type { Caller } from "./permission.ts";

export interface SignedRequest {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** EC2 accepts a signature for so long, and so early. */
const SKEW_MS = 15 * 60_000;

/** The access key id that the request says it is signed with, for telling callers apart before the signature is checked. */
export function claimedKey(headers: IncomingHttpHeaders): string | undefined {
  return /Credential=([^/,\s]+)\//.exec(headers.authorization ?? "")?.[1];
}

/** Who sent the request; throws what EC2 answers to a request whose signature is missing, wrong, or too old. */
export function authenticate(
  request: SignedRequest,
  scope: { region: string; service: string },
  credentials: Credentials,
  now: number,
): Caller {
  const authorization = request.headers.authorization;
  if (authorization === undefined) throw authFailure();
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (parts === null) {
    throw new Ec2Error(
      "IncompleteSignature",
      "The Authorization header does not have the parts of Signature Version 4",
    );
  }
  const [
    ,
    accessKeyId = "",
    date = "",
    region = "",
    service = "",
    signedHeaders = "",
    signature = "",
  ] = parts;
  const key = credentials.find(accessKeyId);
  if (key === undefined) throw authFailure();
  if (header(request.headers, "x-amz-security-token") !== (key.token ?? "")) throw authFailure();

  const stamp = header(request.headers, "x-amz-date");
  const signedAt = parseStamp(stamp);
  if (Math.abs(now - signedAt) > SKEW_MS) {
    throw new Ec2Error("RequestExpired", `Request has expired. Timestamp date is ${stamp}.`);
  }
  if (now >= key.expiration) throw new Ec2Error("RequestExpired", "Request has expired.");

  const expected = sign(request, key.secretAccessKey, {
    date,
    region,
    service,
    stamp,
    signedHeaders,
  });
  const right = timingSafeEqual(Buffer.from(expected, "hex"), Buffer.from(signature, "hex"));
  const inScope = region === scope.region && service === scope.service && stamp.startsWith(date);
  // A signature that leaves out the host or the date proves nothing.
  const covers = ["host", "x-amz-date"].every((name) => signedHeaders.split(";").includes(name));
  if (!right || !inScope || !covers) {
    throw new Ec2Error(
      "SignatureDoesNotMatch",
      "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
      403,
    );
  }
  return key.caller;
}

/** The signature of a request, in hexadecimal. */
export function sign(
  request: SignedRequest,
  secret: string,
  on: { date: string; region: string; service: string; stamp: string; signedHeaders: string },
): string {
  const [path = "/", query = ""] = request.url.split("?", 2);
  const canonical = [
    request.method,
    path,
    query
      .split("&")
      .filter((pair) => pair !== "")
      .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
      .toSorted()
      .join("&"),
    ...on.signedHeaders
      .split(";")
      .map((name) => `${name}:${header(request.headers, name).trim().replace(/ +/g, " ")}`),
    "",
    on.signedHeaders,
    createHash("sha256").update(request.body).digest("hex"),
  ].join("\n");
  const scope = `${on.date}/${on.region}/${on.service}/aws4_request`;
  const text = `AWS4-HMAC-SHA256\n${on.stamp}\n${scope}\n${createHash("sha256").update(canonical).digest("hex")}`;
  const key = [on.date, on.region, on.service, "aws4_request"].reduce<Buffer>(
    (last, part) => hmac(last, part),
    Buffer.from(`AWS4${secret}`),
  );
  return hmac(key, text).toString("hex");
}

// --- internal ---

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function header(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name];
  return Array.isArray(value) ? value.join(",") : (value ?? "");
}

/** `20261123T101530Z` in milliseconds. */
function parseStamp(stamp: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp);
  if (parts === null)
    throw new Ec2Error("IncompleteSignature", "The request has no X-Amz-Date header");
  const [year = 0, month = 0, day = 0, hour, minute, second] = parts.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
