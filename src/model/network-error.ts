/** The error codes of the operating system and of TLS in words, and what to do about them. */
import type { Instance } from "./instance.ts";

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "connection closed",
  ENOTFOUND: "the name does not resolve",
  EAI_AGAIN: "no answer from the DNS resolver",
  ENETUNREACH: "no route to it",
  EHOSTUNREACH: "no route to it",
  EADDRNOTAVAIL: "no address to reach it from",
  ETIMEDOUT: "no connection in time",
  EACCES: "blocked on this machine",
  EPERM: "blocked on this machine",
  EPROTO: "it does not speak TLS",
  EMFILE: "this process may open no more files",
  ENFILE: "this machine may open no more files",
};

const CERTIFICATE =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|HOSTNAME_MISMATCH|INVALID_CA)/;

/** Errors of this machine or its DNS resolver: trying again sends nothing to AWS. */
const LOCAL: readonly string[] = [
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EADDRNOTAVAIL",
  "EACCES",
  "EPERM",
  "EMFILE",
  "ENFILE",
];

export interface NetworkTrouble {
  readonly why: string;
  readonly remedy?: string;
  /** The request got no further than this machine and its DNS resolver. */
  readonly isLocal?: boolean;
}

/** Explains an error code of Node's network functions; undefined if we do not know the code. */
export function networkTrouble(code: string): NetworkTrouble | undefined {
  if (CERTIFICATE.test(code)) {
    return {
      why: `its certificate is not trusted (${code})`,
      remedy:
        "is TLS intercepted here? name the CA's file in NODE_EXTRA_CA_CERTS; is the clock right?",
    };
  }
  if (code.startsWith("HPE_")) return { why: `what it answers is not HTTP (${code})` };
  const words = Object.hasOwn(WORDS, code) ? WORDS[code] : undefined;
  return words === undefined
    ? undefined
    : { why: `${words} (${code})`, ...(LOCAL.includes(code) && { isLocal: true }) };
}

/** The first error code found in an error, its causes or its aggregated errors, down to `depth` levels. */
export function errorCode(error: unknown, depth = 4): string | undefined {
  if (typeof error !== "object" || error === null || depth === 0) return undefined;
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown };
  if (typeof code === "string") return code;
  const parts: unknown[] = [cause, ...(Array.isArray(errors) ? (errors as unknown[]) : [])];
  for (const part of parts) {
    const found = errorCode(part, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * The most common reason why an instance cannot reach AWS; undefined for one with a public IPv4 address.
 *
 * @param service its name for the message: `EC2`
 */
export function egressHint(service: string, self: Instance): string | undefined {
  if (self.interfaces.some(({ publicIps }) => Object.keys(publicIps).length > 0)) return undefined;
  return `this instance has no public IPv4 address: let its subnet assign one, add an interface endpoint for ${service} to the VPC, or give it IPv6`;
}
