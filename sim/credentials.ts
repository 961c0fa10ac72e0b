/** The credentials the region accepts: one administrator's, and those that instances fetch for their role from IMDS. */

import { randomBytes } from "node:crypto";

import type { Caller } from "./permission.ts";

export interface RoleCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly token: string;
  readonly lastUpdated: number;
  readonly expiration: number;
}

/** What a signed request is checked against. */
export interface KnownKey {
  readonly caller: Caller;
  readonly secretAccessKey: string;
  /** The session token that has to come with it; undefined: none. */
  readonly token: string | undefined;
  readonly expiration: number;
}

/** The example key pair of AWS's own documentation: may do everything. */
export const ADMIN = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
} as const;

const LIFETIME_MS = 6 * 3_600_000;
/** New credentials appear at least so long before the old ones expire. */
const RENEW_BEFORE_MS = 5 * 60_000;

/** Issues role credentials and remembers all of them. */
export class Credentials {
  readonly #now: () => number;
  readonly #current = new Map<string, RoleCredentials>();
  readonly #known = new Map<string, KnownKey>();

  constructor(now: () => number) {
    this.#now = now;
    this.#known.set(ADMIN.accessKeyId, {
      caller: "admin",
      secretAccessKey: ADMIN.secretAccessKey,
      token: undefined,
      expiration: Number.POSITIVE_INFINITY,
    });
  }

  /** The credentials IMDS shows the instance now; renewed shortly before they expire. */
  current(instanceId: string): RoleCredentials {
    const old = this.#current.get(instanceId);
    return old !== undefined && this.#now() < old.expiration - RENEW_BEFORE_MS
      ? old
      : this.issue(instanceId);
  }

  /** Makes new credentials for the instance now; older ones stay valid until they expire. */
  issue(instanceId: string, lifetimeMs: number = LIFETIME_MS): RoleCredentials {
    const fresh: RoleCredentials = {
      accessKeyId: `ASIA${letters(16)}`,
      secretAccessKey: randomBytes(30).toString("base64"),
      token: `IQoJb3JpZ2luX2Vj${randomBytes(180).toString("base64")}`,
      lastUpdated: this.#now(),
      expiration: this.#now() + lifetimeMs,
    };
    this.#current.set(instanceId, fresh);
    this.#known.set(fresh.accessKeyId, { ...fresh, caller: { instanceId } });
    return fresh;
  }

  /** What belongs to an access key id. */
  find(accessKeyId: string): KnownKey | undefined {
    return this.#known.get(accessKeyId);
  }

  /** Every secret key and session token issued to an instance. */
  secrets(): string[] {
    return [...this.#known.values()].flatMap(({ caller, secretAccessKey, token }) =>
      caller === "admin" ? [] : token === undefined ? [secretAccessKey] : [secretAccessKey, token],
    );
  }
}

// --- internal ---

function letters(count: number): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  return Array.from(randomBytes(count), (byte) => alphabet[byte & 31]).join("");
}
