/**
 * AWS's own amazon-ec2-metadata-mock: what AWS itself has to say about the instance metadata service. One instance, whose
 * values a file of settings gives; its subcommand is what happens to the instance, and decides which paths there are:
 *
 * - `asglifecycle`: a target state in Auto Scaling, InService and later Terminated
 * - `spot`: a notice of interruption, now or later
 * - `events`: neither
 */
import type { Instance } from "@aws-sdk/client-ec2";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PROGRAM = resolve(import.meta.dirname, "../../.tools/bin/ec2-metadata-mock");
const START_TIMEOUT_MS = 30_000;
const TAGS = "/latest/meta-data/tags/instance";

/** Whether it is here: `make .tools/bin/ec2-metadata-mock` makes it where Go is. */
export function hasMetadataMock(): boolean {
  return existsSync(PROGRAM);
}

/** What the metadata says beyond what EC2 says of the instance. */
export interface Shown {
  /** Tags; it can have two. Without any, there is no `tags/instance` at all, as by default on EC2. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly publicIp?: string | undefined;
  /** Account in the identity document. */
  readonly account?: string;
}

/**
 * Starts it as the metadata of this instance, with tokens required (IMDSv2).
 *
 * @param event its subcommand, with flags
 */
export async function startMetadataMock(
  instance: Instance,
  event: readonly string[],
  shown: Shown = {},
): Promise<MetadataMock> {
  const folder = mkdtempSync(join(tmpdir(), "metadata-mock-"));
  const settings = join(folder, "settings.json");
  writeFileSync(settings, JSON.stringify(settingsOf(instance, shown)));
  // An address of its own for each process of tests: nobody else has its port there.
  const host = `127.${[16, 8, 0].map((bits) => (process.pid >> bits) & 255).join(".")}`;
  const child = spawn(PROGRAM, [...event, "--imdsv2", "-n", host, "-p", "1338", "-c", settings], {
    stdio: ["ignore", "ignore", "pipe"],
    // It keeps tokens and answers in variables that requests share without a lock, and the agent asks for many things
    // at once: on one processor, and not interrupted, it answers one after the other.
    env: { HOME: folder, GOMAXPROCS: "1", GODEBUG: "asyncpreemptoff=1" },
  });
  // Nobody is left to end it if the tests are cut short.
  const end = () => child.kill();
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
  const mock = new MetadataMock(child, `http://${host}:1338`, folder);
  try {
    await mock.ready();
    return mock;
  } catch (error) {
    await mock.close();
    throw error;
  }
}

export class MetadataMock {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  #log = "";

  constructor(child: ChildProcess, url: string, folder: string) {
    this.#child = child;
    this.url = url;
    this.#folder = folder;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#log += text));
  }

  /** Requests that it refused for want of a valid token, once it is closed. */
  get refused(): readonly string[] {
    return this.#log
      .split("\n")
      .filter((line) => /No token provided|Invalid token|Token has expired/.test(line));
  }

  /** Waits until it gives tokens. */
  async ready(): Promise<void> {
    const late = AbortSignal.timeout(START_TIMEOUT_MS);
    const headers = { "x-aws-ec2-metadata-token-ttl-seconds": "1" };
    for (;;) {
      if (this.#isGone() || late.aborted)
        throw new Error(`the metadata mock does not start: ${this.#log}`);
      try {
        const init = { method: "PUT", headers, signal: late };
        if ((await fetch(`${this.url}/latest/api/token`, init)).ok) return;
      } catch {
        // it does not listen yet
      }
      await sleep(20);
    }
  }

  /** Ends it; all that it has told is read then. */
  async close(): Promise<void> {
    if (!this.#isGone()) {
      const closed = once(this.#child, "close");
      this.#child.kill();
      await closed;
    }
    rmSync(this.#folder, { recursive: true });
  }

  #isGone(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}

// --- internal ---

/** The file of its settings. A path that is empty is one that it does not have (404). */
function settingsOf(instance: Instance, { tags = {}, publicIp, account }: Shown) {
  const [eni] = instance.NetworkInterfaces ?? [];
  const zone = instance.Placement?.AvailabilityZone ?? "";
  const region = zone.replace(/[a-z]$/, "");
  const [first, second] = Object.entries(tags);
  const privateIp = eni?.PrivateIpAddress ?? "";
  return {
    metadata: {
      paths: {
        ...(publicIp === undefined && { "mac-public-ipv4s": "", "mac-ipv4-associations": "" }),
        "tags-instance-name": first === undefined ? "" : `${TAGS}/${first[0]}`,
        "tags-instance-test": second === undefined ? "" : `${TAGS}/${second[0]}`,
      },
      values: {
        "instance-id": instance.InstanceId,
        "placement-availability-zone": zone,
        "placement-region": region,
        mac: eni?.MacAddress,
        "mac-mac": eni?.MacAddress,
        "mac-network-interface-id": eni?.NetworkInterfaceId,
        "mac-vpc-id": eni?.VpcId,
        "mac-local-ipv4s": privateIp,
        ...(publicIp !== undefined && {
          "public-ipv4": publicIp,
          "mac-public-ipv4s": publicIp,
          "mac-ipv4-associations": privateIp,
        }),
        "tags-instance-name": first?.[1] ?? "",
        "tags-instance-test": second?.[1] ?? "",
        "iam-security-credentials-role": "web",
        // Its own credentials expired in 2020.
        "iam-security-credentials": {
          Code: "Success",
          Type: "AWS-HMAC",
          AccessKeyId: "ASIAEXAMPLE",
          SecretAccessKey: "of-the-role",
          Token: "of-the-session",
          Expiration: new Date(Date.now() + 3_600_000).toISOString(),
        },
      },
    },
    // Its own account id is two digits short, so that the leaves tell who the instance is.
    ...(account !== undefined && {
      dynamic: {
        values: {
          "instance-identity-document": {
            accountId: account,
            instanceId: instance.InstanceId,
            availabilityZone: zone,
            region,
          },
        },
      },
    }),
  };
}
