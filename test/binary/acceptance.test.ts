/**
 * A rehearsal of the acceptance against moto, with the real AWS CLI and the real binary: whenever moto launches an
 * instance, or the address is nobody's, a heal is run as that instance. What moto cannot play: consoles, warm pools that
 * launch, IAM, and instances that take time to boot and to end; test/acceptance has recorded answers for those. With a
 * stack it forgets to delete the route table, which is done here.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accept, EXIT } from "../../acceptance/accept.ts";
import { type Aws, awsCli } from "../../acceptance/aws.ts";
import type { Clock } from "../../acceptance/clock.ts";
import { TAG } from "../../acceptance/plan.ts";
import { hasMoto, type Moto, startMoto } from "../../sim/moto.ts";
import { DescribeInstancesCommand } from "@aws-sdk/client-ec2";
import { setTimeout as sleep } from "node:timers/promises";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";
import { unless } from "../support/skipping.ts";

const ACCOUNT = "123456789012";
const REGION = "us-east-1";
const MAIN = resolve(import.meta.dirname, "../../acceptance/main.ts");
const hasAws = (process.env["PATH"] ?? "")
  .split(delimiter)
  .some((folder) => existsSync(join(folder, "aws")));
const why = !hasMoto() ? "moto is not there" : hasAws ? undefined : "missing: aws";

describe("the acceptance, with moto as AWS", { ...unless(why), timeout: 600_000 }, () => {
  let moto: Moto;
  const before = { ...process.env };

  beforeAll(async () => {
    moto = await startMoto();
    Object.assign(process.env, {
      AWS_ENDPOINT_URL: moto.ec2Url,
      AWS_ACCESS_KEY_ID: "testing",
      AWS_SECRET_ACCESS_KEY: "testing",
      AWS_REGION: REGION,
      AWS_EC2_METADATA_DISABLED: "true",
      // Nobody's profiles.
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    });
    delete process.env["AWS_PROFILE"];
  });

  afterAll(async () => {
    process.env = before;
    await moto?.close();
  });

  test("plays every scene with the real binary, and leaves nothing", async () => {
    const printed: string[] = [];
    const instances = new Instances(moto);
    const living = instances.live();
    const status = await accept(
      ["--account", ACCOUNT, "--region", REGION, "--package", import.meta.filename],
      {
        awsIn: motoByCli,
        clock: QUICK,
        removalClock: QUICK,
        print: (text) => printed.push(text),
        // No console will ever speak, and a heal takes the seconds of its hold.
        limits: { address: 600, console: 0, state: 60 },
      },
    );
    instances.ended = true;
    await living;
    const text = printed.join("\n");
    expect(text).toContain(`account ${ACCOUNT}, region ${REGION}`);
    for (const row of [
      /\| ✓ +\| the group is new: its instance gets the address +\| i-\w+ after \d+ s/,
      /\| \? +\| a reboot: .*the console shows no second boot/,
      /\| ✓ +\| taken off by hand: the recheck brings it back +\| i-\w+ after \d+ s/,
      /\| ✓ +\| replaced, the new one first: .*\| i-\w+ after \d+ s/,
      /\| ✓ +\| replaced, the old one ended first: .*\| i-\w+ after \d+ s/,
      /by id \d[\d.]* ms \[\d+ to \d+\], by filter \d[\d.]* ms/,
      /dry run of AssociateAddress: held, AllowReassociation=false \| DryRunOperation: /,
      /AllowReassociation=false onto the place where the address is \| /,
    ]) {
      expect(text).toMatch(row);
    }
    // What the heals themselves said: no other ending.
    expect(new Set(instances.statuses)).toEqual(new Set([0]));
    expect(text).toContain("Everything has been removed.");
    expect(status, text).toBe(EXIT.ok);

    const aws = awsCli(REGION);
    expect(await aws.call("cloudformation describe-stacks")).toMatchObject({ Stacks: [] });
    expect(await aws.call("ec2 describe-addresses")).toMatchObject({ Addresses: [] });
    const { Buckets } = (await aws.call("s3api list-buckets")) as { Buckets: { Name: string }[] };
    expect(Buckets.filter(({ Name }) => Name.startsWith(TAG))).toEqual([]);
  });

  test("interrupted as a program it goes on to the removal, and says what it did", async () => {
    // A folder is no package: the upload fails.
    const args = ["--account", ACCOUNT, "--region", REGION, "--package", import.meta.dirname];
    const child = spawn(process.execPath, [MAIN, ...args]);
    let printed = "";
    let said = "";
    child.stderr.on("data", (text: Buffer) => (said += text.toString()));
    child.stdout.on("data", (text: Buffer) => {
      printed += text.toString();
      // The addresses are there by now, and the bucket is about to be.
      if (printed.includes("uploading the package") && said === "") child.kill("SIGINT");
    });
    const [status] = (await once(child, "close")) as [number | null];
    expect(said).toContain("SIGINT: what has been made is removed first, please wait");
    expect(printed).toMatch(/\*\*It ended early:\*\* aws s3api put-object: .*--body/);
    expect(printed).toMatch(/(removing the address eipalloc-\w+\n){2}removing the bucket /);
    expect(printed).toContain("Everything has been removed.");
    expect(status).toBe(EXIT.failed);
    const aws = awsCli(REGION);
    expect(await aws.call("ec2 describe-addresses")).toMatchObject({ Addresses: [] });
    expect(await aws.call("s3api list-buckets")).toMatchObject({ Buckets: [] });
  });

  test("refuses another account, and finds nothing left to remove", async () => {
    const outside = { awsIn: awsCli, clock: QUICK, removalClock: QUICK, print: () => {} };
    const other = ["--account", "210987654321", "--region", REGION, "--remove"];
    expect(await accept(other, outside)).toBe(EXIT.usage);
    expect(await accept(other.with(1, ACCOUNT), outside)).toBe(EXIT.ok);
  });
});

function motoByCli(region: string): Aws {
  const aws = awsCli(region);
  return {
    ...aws,
    async call(command, parameters, flags) {
      if (
        command === "cloudformation delete-stack" &&
        JSON.stringify(parameters).includes("-network")
      ) {
        const { RouteTables: tables } = (await aws.call("ec2 describe-route-tables", {
          Filters: [{ Name: "tag:aws:cloudformation:logical-id", Values: ["Routes"] }],
        })) as {
          RouteTables: {
            RouteTableId: string;
            Associations: { RouteTableAssociationId: string }[];
          }[];
        };
        for (const { RouteTableId, Associations } of tables) {
          for (const { RouteTableAssociationId: AssociationId } of Associations) {
            await aws.call("ec2 disassociate-route-table", { AssociationId });
          }
          await aws.call("ec2 delete-route-table", { RouteTableId });
        }
      }
      return await aws.call(command, parameters, flags);
    },
  };
}

/** Twenty times as fast as life. */
const QUICK: Clock = {
  now: () => performance.now() * 20,
  sleep: (ms) => sleep(ms / 20),
};

const IN_SERVICE = { metadataTags: true, lifecycle: "InService" } as const;

/** The instances that moto launches, which have nobody to boot them. */
class Instances {
  ended = false;
  readonly statuses: (number | null)[] = [];
  readonly #moto: Moto;
  readonly #booted = new Set<string>();

  constructor(moto: Moto) {
    this.#moto = moto;
  }

  /** Boots whoever is new, and has the last one recheck, until it is ended. */
  async live(): Promise<void> {
    while (!this.ended) {
      const found = await this.#moto.ec2.send(new DescribeInstancesCommand({}));
      const running = (found.Reservations ?? [])
        .flatMap(({ Instances: all = [] }) => all)
        .filter(({ State }) => State?.Name === "running");
      for (const { InstanceId: id = "", Tags = [] } of running) {
        const allocationId = Tags.find(({ Key }) => Key === "allocation-id")?.Value;
        if (allocationId === undefined) continue;
        const address = await this.#moto.address(allocationId);
        const isNew = !this.#booted.has(id);
        if (!isNew && address?.InstanceId) continue;
        this.#booted.add(id);
        await this.#heal(id);
      }
      await sleep(200);
    }
  }

  async #heal(id: string): Promise<void> {
    await inRegion(await this.#moto.world(IN_SERVICE), async (region) => {
      const { status } = await runAgent(region, id, { ec2Url: this.#moto.ec2Url });
      this.statuses.push(status);
    });
  }
}
