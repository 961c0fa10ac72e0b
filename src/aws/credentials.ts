/**
 * Credentials from the environment if set there, otherwise from the instance role. Profile files are not read, so that one
 * left behind in an image cannot replace the role.
 */
import { AWS_CODE, OWN_CODE, codeOf, Failure, EXIT } from "../model/failure.ts";
import type { Metadata } from "./imds.ts";

/** Keys for signing requests. */
export interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface Credentials extends Keys {
  /** For messages: `the environment`, or `the role web`. */
  readonly source: string;
  /** When the role's credentials expire, if instance metadata says so. */
  readonly expiresAt?: Date;
}

const NO_ROLE_CURE =
  "attach an instance profile whose role allows the calls (eip-heal policy prints them)";
/** Printable ASCII: key id and token are sent in headers. */
const KEY = /^[!-~]+$/;
const ROLES = "meta-data/iam/security-credentials/";

/**
 * Credentials of the environment, or undefined if it has none.
 *
 * @throws Failure `misconfigured` if only one key is set or a value has invalid characters; values are never quoted
 */
export function environmentCredentials(
  environment: Readonly<Record<string, string | undefined>>,
): Credentials | undefined {
  const accessKeyId = environment["AWS_ACCESS_KEY_ID"];
  const secretAccessKey = environment["AWS_SECRET_ACCESS_KEY"];
  const sessionToken = environment["AWS_SESSION_TOKEN"];
  if (!accessKeyId && !secretAccessKey) return undefined;
  if (!accessKeyId || !secretAccessKey) {
    throw new Failure("misconfigured", {
      why: `only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set`,
      remedy: "set both, or none to use the instance role",
    });
  }
  for (const [name, value] of Object.entries({
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  })) {
    if (!value || KEY.test(value)) continue;
    throw new Failure("misconfigured", {
      why: `${name} holds a character that no key has, such as a line break or a blank`,
      remedy: "set it again, as AWS has given it",
      variable: name,
    });
  }
  const source = "the environment";
  return { source, accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}

/**
 * The name of the instance role, or undefined if this instance has none.
 *
 * @throws Failure `unreachable` for anything that is not an answer
 */
export async function roleName(metadata: Metadata): Promise<string | undefined> {
  const role = (await metadata.read(ROLES))?.trim().split(/\s+/)[0];
  if (!role || /^[\w+=,.@-]{1,128}$/.test(role)) return role || undefined;
  throw new Failure("unreachable", {
    request: ROLES,
    why: "what was answered is not the name of a role",
  });
}

/**
 * Credentials of the instance role.
 *
 * @throws Failure `not-yet` (finally 77) without a role, or if EC2 may not assume it; `unreachable` for anything that is
 *   not an answer
 */
export async function roleCredentials(metadata: Metadata): Promise<Credentials> {
  const role = await roleName(metadata);
  if (role === undefined) {
    throw new Failure("not-yet", {
      request: ROLES,
      why: "this instance has no role, or not yet",
      remedy: NO_ROLE_CURE,
      code: OWN_CODE.noRole,
      permanentStatus: EXIT.NOPERM,
      isLocal: true,
    });
  }

  const request = `${ROLES}${role}`;
  const answer = parse(request, (await metadata.read(request)) ?? "{}");
  const {
    Code: code,
    AccessKeyId: id,
    SecretAccessKey: secret,
    Token: token,
    Expiration: expires,
  } = answer;
  if (code !== "Success") {
    throw new Failure("not-yet", {
      request,
      why: `no credentials for the role, or not yet: ${describe(code)}`,
      remedy:
        code === AWS_CODE.assumeRoleUnauthorized
          ? `let EC2 assume ${role} in the role's trust policy: eip-heal doctor has the statement`
          : NO_ROLE_CURE,
      code: codeOf(describe(code)),
      permanentStatus: EXIT.NOPERM,
      isLocal: true,
    });
  }
  if (typeof id !== "string" || typeof secret !== "string" || typeof token !== "string") {
    throw new Failure("unreachable", { request, why: "the credentials are incomplete" });
  }
  if (![id, secret, token].every((key) => KEY.test(key))) {
    throw new Failure("unreachable", { request, why: "what was answered are not credentials" });
  }
  // Credentials that look expired are used: this machine's clock may be wrong, and EC2 decides.
  const expiresAt = typeof expires === "string" ? new Date(expires) : undefined;
  return {
    source: `the role ${role}`,
    accessKeyId: id,
    secretAccessKey: secret,
    sessionToken: token,
    ...(expiresAt && !Number.isNaN(expiresAt.getTime()) && { expiresAt }),
  };
}

function parse(request: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Reported below without the text, which may contain a secret.
  }
  throw new Failure("unreachable", { request, why: "what was answered are not credentials" });
}

function describe(code: unknown): string {
  return typeof code === "string" && /^[A-Za-z]{1,64}$/.test(code) ? code : "no status code";
}
