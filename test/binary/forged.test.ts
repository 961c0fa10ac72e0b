/**
 * What somebody else has written (into a tag, a name, an answer, a variable) stays within the line that tells of it: no line
 * of its own, no priority, no control character, in the log, on screens, in JSON and in the result files.
 */
import { expect, test, vi } from "vitest";
import { HOOK_ROLE } from "../../sim/iam.ts";
import type { RunningRegion } from "../../sim/server.ts";
import { aWorld } from "../../sim/world.ts";
import { type AgentOptions, type AgentRun, run, runAgent } from "../support/agent.ts";
import { inRegion } from "../support/region.ts";

vi.setConfig({ maxConcurrency: 4 });

const LINE =
  "associated eipalloc-0123456789abcdef0 (203.0.113.9) with i-0 eni-0 10.0.0.4, 1 try, 0.1 s";
/** Of the length that a tag may have. */
const FORGED = `web\n<2>${LINE}\u001b[2J\u0007\u009b31m\u202eplease\u2066\u2028associated x\r\nassociated y`;
const HOOK = "web-launch";

interface Case {
  readonly instance?: Parameters<ReturnType<typeof aWorld>["instance"]>[0];
  readonly holder?: string;
  readonly options?: AgentOptions;
  readonly before?: (region: RunningRegion) => void;
  /** Words that show it has got there. */
  readonly told: string;
}

const refusing = (action: string, code: string) => (region: RunningRegion) => {
  const effect = { do: "error", code, message: FORGED.replaceAll("\u0007", "") } as const;
  region.faults.add({ service: "ec2", action, effect });
};

/** By what broke 0.1.0, first of all. */
const CASES: Readonly<Record<string, Case>> = {
  "the tag eip-pool": {
    instance: { tags: { "eip-pool": FORGED }, metadataTags: true },
    before: refusing("DescribeAddresses", "InvalidParameterValue"),
    told: "looking at the pool eip-pool=web",
  },
  "the tag aws:autoscaling:groupName": {
    instance: { group: FORGED, role: "hook", metadataTags: true, lifecycle: "InService" },
    options: { environment: { EIP_HEAL_LIFECYCLE_HOOK: HOOK } },
    told: `completed the lifecycle hook ${HOOK} of web`,
  },
  "the name of a state": { holder: FORGED, told: "held by" },
  "the tag allocation-id": {
    instance: { tags: { "allocation-id": FORGED }, metadataTags: true },
    told: "the tag allocation-id is",
  },
  "a message of EC2": {
    before: refusing("DescribeAddresses", "InvalidParameterValue"),
    told: "InvalidParameterValue: web",
  },
  EIP_HEAL_TAG: {
    options: { environment: { EIP_HEAL_TAG: FORGED.repeat(3) } },
    told: "EIP_HEAL_TAG",
  },
  EIP_HEAL_POOL: {
    options: { environment: { EIP_HEAL_POOL: FORGED } },
    told: "EIP_HEAL_POOL in the environment is",
  },
  "EIP_HEAL_TAKEOVER of 100 KB": {
    options: { environment: { EIP_HEAL_TAKEOVER: FORGED.repeat(500) } },
    told: "EIP_HEAL_TAKEOVER in the environment is",
  },
  "the name of an unknown variable": {
    options: { environment: { [`EIP_HEAL_${FORGED}`]: "1" } },
    told: "unknown setting EIP_HEAL_web",
  },
  "the settings file": {
    options: { conf: `EIP_HEAL_TAKEOVER="${FORGED}"\n` },
    told: "accepted: never",
  },
  "--config": { options: { flags: ["--config", FORGED] }, told: "cannot read web" },
  "an argument": { options: { flags: [FORGED] }, told: "web" },
  "a flag": { options: { flags: [`--${FORGED}`] }, told: "web" },
  AWS_REGION: { options: { environment: { AWS_REGION: FORGED } }, told: "AWS_REGION is" },
  AWS_ENDPOINT_URL_EC2: { options: { ec2Url: FORGED }, told: "AWS_ENDPOINT_URL_EC2 is" },
};

const COMMANDS: readonly (readonly string[])[] = [
  ["--verbose"],
  ["--json"],
  ["recheck"],
  ["release"],
  ["status"],
  ["status", "--json"],
  ["doctor"],
  ["doctor", "--json"],
  ["policy", "--explain"],
  ["check-config"],
];

test.concurrent.each(Object.entries(CASES))(
  "%s",
  async (_, one) => {
    const world = aWorld();
    world.role("hook", HOOK_ROLE);
    const group = one.instance?.group;
    if (typeof group === "string") world.group(group, { name: HOOK });
    const address = world.address({ tags: { "eip-pool": "other" } });
    if (one.holder !== undefined) {
      world.hold(
        address,
        world.instance({ shownState: one.holder, launchTime: "2030-01-01T00:00:00Z" }),
      );
    }
    const me = world.instance({
      tags: { "allocation-id": address.allocationId },
      metadataTags: true,
      ...one.instance,
      ...(group !== undefined && { tags: { "allocation-id": address.allocationId } }),
    });
    await inRegion(world, async (region) => {
      if (group !== undefined) region.region.waitUnderHook(me.instanceId, HOOK);
      one.before?.(region);
      const told: string[] = [];
      for (const command of COMMANDS) {
        const { flags = [], ...options } = one.options ?? {};
        const ran = await runAgent(region, me.instanceId, {
          ...options,
          environment: { EIP_HEAL_DEADLINE: "4s", ...options.environment },
          // The forged argument first: it may stand where a command does.
          flags: [...flags, ...command],
        });
        expectPlain(ran);
        told.push(...ran.log);
      }
      expect(told.join("\n")).toContain(one.told);
    });
  },
  120_000,
);

/** One line each, none of them somebody else's. */
function expectPlain({ status, log, stdout, result, env }: AgentRun): void {
  expect(status).not.toBe(70);
  for (const line of [...log, ...stdout.split("\n")]) {
    expect(line).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    // None begins as only a success of ours does.
    if (!line.includes("(203.0.113.1)")) expect(line).not.toMatch(/^\s*(?:<\d>)?associated /);
  }
  // It was parsed, and would have been written as it is.
  if (result !== undefined) expect(String(result["message"])).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
  if (env !== undefined) expect(env).toMatch(/^(?:EIP_HEAL_[A-Z_]+=[\w.-]+\n){5}$/);
}

/** Those that tell of endpoints. */
const TELLING = [["--verbose"], ["status"], ["doctor"], ["doctor", "--json"], ["policy", "--any"]];
const SECRET = "hunter2";
const URLS = [
  `https://user:${SECRET}@127.0.0.1:1`,
  `http://${SECRET}@127.0.0.1:1`,
  `https:user:${SECRET}@127.0.0.1:1`,
  `ftp://user:${SECRET}@127.0.0.1:1`,
  `user:${SECRET}@127.0.0.1:1`,
  `https://user:${SECRET}/@127.0.0.1:1`,
  `http://user:${SECRET}@127.0.0.1:port`,
];

test.concurrent.each(
  ["AWS_ENDPOINT_URL_EC2", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "HTTPS_PROXY"].flatMap((name) =>
    URLS.map((url) => [name, url] as const),
  ),
)(
  "a password in %s is not told: %s",
  async (name, url) => {
    const world = aWorld();
    const { allocationId } = world.address();
    const me = world.instance({ tags: { "allocation-id": allocationId }, metadataTags: true });
    await inRegion(world, async (region) => {
      for (const command of TELLING) {
        const { log, stdout, result } = await run(
          {
            AWS_EC2_METADATA_SERVICE_ENDPOINT: region.imdsUrl(me.instanceId),
            AWS_ENDPOINT_URL_EC2: region.ec2Url,
            AWS_ENDPOINT_URL_AUTO_SCALING: region.autoScalingUrl,
            EIP_HEAL_DEADLINE: "1s",
            [name]: url,
          },
          { flags: command },
        );
        expect([...log, stdout, JSON.stringify(result)].join("\n")).not.toContain(SECRET);
      }
    });
  },
  120_000,
);
