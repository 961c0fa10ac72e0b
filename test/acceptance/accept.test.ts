/** The acceptance on an account in memory: what it plays and measures, and that nothing stays whatever happens. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { accept, EXIT, type Outside } from "../../acceptance/accept.ts";
import { realClock } from "../../acceptance/clock.ts";
import { describeStates, parse } from "../../acceptance/console.ts";
import { median } from "../../acceptance/measure.ts";
import { cost, LIMITS, TAG } from "../../acceptance/plan.ts";
import { report } from "../../acceptance/report.ts";
import { inFolder } from "../support/region.ts";
import { Account, ACCOUNT, refusal, type Trouble } from "./account.ts";

const CONFIRMED = [
  "--account",
  ACCOUNT,
  "--region",
  "eu-west-1",
  "--package",
  import.meta.filename,
];
const REMOVE = ["--account", ACCOUNT, "--region", "eu-west-1", "--remove"];
const CHANGES =
  /create|allocate|put-|associate|release|delete|terminate|reboot|stop|start|standby|desired/;

/** Runs it; its exit status, and all that it has printed. */
async function run(
  account: Account,
  args: readonly string[] = CONFIRMED,
  outside: Partial<Outside> = {},
) {
  const printed: string[] = [];
  const status = await accept(args, {
    awsIn: () => account,
    clock: account.clock,
    removalClock: account.clock,
    print: (text) => printed.push(text),
    ...outside,
  });
  return { status, text: printed.join("\n") };
}

function expectNothingLeft({ stacks, addresses, buckets, ...more }: Account, after = ""): void {
  const left = [...stacks.keys(), ...addresses.keys(), ...buckets.keys()];
  expect({ left, warmPool: more.warmPool }, after).toEqual({ left: [], warmPool: false });
}

describe("without a confirmation", () => {
  test.each<[string, string[], string]>([
    ["no account", ["--region", "eu-west-1"], "--account and --region are needed"],
    ["no region", ["--account", ACCOUNT], "--account and --region are needed"],
    [
      "another account",
      ["--account", "210987654321", "--region", "eu-west-1"],
      `--account is 210987654321, but the credentials belong to ${ACCOUNT}`,
    ],
    ["an unknown flag", [...CONFIRMED, "--force"], "Unknown option '--force'"],
    ["no such package", CONFIRMED.with(-1, "/no/a.rpm"), "/no/a.rpm is not there"],
  ])("nothing is changed: %s", async (_, args, problem) => {
    const account = new Account();
    const { status, text } = await run(account, args);
    expect(status).toBe(EXIT.usage);
    expect(text).toContain(problem);
    expect(text).toContain("usage: make acceptance");
    expect(account.calls.filter((call) => CHANGES.test(call))).toEqual([]);
  });

  test("nor where the environment is about another region", async () => {
    const before = process.env["AWS_REGION"];
    process.env["AWS_REGION"] = "us-east-1";
    try {
      const account = new Account();
      expect((await run(account)).status).toBe(EXIT.usage);
      expect(account.calls).toEqual([]);
    } finally {
      if (before === undefined) delete process.env["AWS_REGION"];
      else process.env["AWS_REGION"] = before;
    }
  });
});

describe("the package", () => {
  const HERE = process.arch === "arm64" ? "aarch64" : "x86_64";
  const unnamed = CONFIRMED.slice(0, 4);

  test("is the one that was built for this machine", async () => {
    await inFolder(async (dist) => {
      const none = await run(new Account(), unnamed, { dist });
      expect(none.status).toBe(EXIT.usage);
      expect(none.text).toContain("there is no RPM in dist/: run make packages first");
      for (const arch of ["aarch64", "x86_64"])
        writeFileSync(join(dist, `eip-heal-1.0.0-1.${arch}.rpm`), "");
      const { status, text } = await run(new Account(), unnamed, { dist });
      expect(status).toBe(EXIT.ok);
      expect(text).toContain(`acceptance of ${join(dist, `eip-heal-1.0.0-1.${HERE}.rpm`)} on`);
    });
  });

  test.each([
    ["a.x86_64.rpm", "t3.nano", "x86_64"],
    ["a.aarch64.rpm", "t4g.nano", "arm64"],
  ])("decides what is launched: %s", async (name, type, arch) => {
    const account = new Account();
    const asked: unknown[] = [];
    account.besides["ssm get-parameter"] = ({ Name }) => asked.push(Name);
    account.besides["cloudformation create-stack"] = ({ Parameters }) => asked.push(Parameters);
    await inFolder(async (folder) => {
      const file = join(folder, name);
      writeFileSync(file, "");
      await run(account, CONFIRMED.with(-1, file));
    });
    expect(asked).toEqual([
      [],
      expect.stringMatching(`-${arch}$`),
      expect.arrayContaining([{ ParameterKey: "InstanceType", ParameterValue: type }]),
    ]);
  });
});

describe("as a program", () => {
  const MAIN = resolve(import.meta.dirname, "../../acceptance/main.ts");
  test.each([
    ["misused, says how it is used", [], EXIT.usage, "--account and --region are needed"],
    ["without the AWS CLI, fails", CONFIRMED, EXIT.failed, "the AWS CLI is not installed"],
  ])("%s", (_, args, status, said) => {
    const ended = spawnSync(process.execPath, [MAIN, ...args], { env: { PATH: "/nowhere" } });
    expect(String(ended.stdout) + String(ended.stderr)).toContain(said);
    expect(ended.status).toBe(status);
  });
});

test("the real clock goes on, and its sleep ends when the run is interrupted", async () => {
  const interruption = new AbortController();
  const clock = realClock(interruption.signal);
  const begin = clock.now();
  await clock.sleep(1);
  expect(clock.now()).toBeGreaterThan(begin);
  const long = clock.sleep(3_600_000);
  interruption.abort();
  await expect(long).rejects.toThrow("aborted");
  await expect(clock.sleep(1)).rejects.toThrow("aborted");
});

test("the cost is said before anything is made", async () => {
  const account = new Account();
  let callsBefore: string[] = [];
  await accept(CONFIRMED, {
    awsIn: () => account,
    clock: account.clock,
    removalClock: account.clock,
    print: (text) => {
      if (text.includes("Cost estimate")) callsBefore = [...account.calls];
    },
  });
  expect(callsBefore).toEqual(["sts get-caller-identity"]);
});

test("all goes well: every row has its figures, and nothing is left", async () => {
  const account = new Account();
  const { status, text } = await run(account);
  expect(status, text).toBe(EXIT.ok);
  const table = text.slice(text.indexOf("# Acceptance"));
  const rows = table.split("\n").filter((line) => line.startsWith("| "));
  expect(rows.slice(2).map((row) => row.replace(/^\| (.) +\| (.*?) \| .*/, "$1 $2"))).toEqual([
    "✓ the group is new: its instance gets the address",
    "✓ a reboot: the address stays, and no association is made",
    "✓ taken off by hand: the recheck brings it back",
    "? target-lifecycle-state of a plain member at its first boot",
    "? what EC2 says to a request that the role does not allow",
    "? dry run of AssociateAddress: held, AllowReassociation=false",
    "? dry run of AssociateAddress: held, AllowReassociation=true",
    "? dry run of AssociateAddress: an id that does not exist",
    "? DescribeInstances, median of 10, with a new connection each",
    "✓ replaced, the new one first: it takes the address from the old one, which runs",
    "✓ replaced, the old one ended first: the new one gets the address",
    "? DescribeAddresses every 200 ms through the termination of the holder",
    "? target-lifecycle-state of a member of a warm pool at its first boot",
    "? target-lifecycle-state of a member in standby, after a stop and a start",
    "? AllowReassociation=false onto the place where the address is",
    "? AllowReassociation=false onto a place with another Elastic IP",
  ]);
  expect(table).toContain("404 from 12 s, InService from 19 s");
  expect(table).toContain("404 from 12 s, Warmed:Stopped from 19 s");
  expect(table).toContain("by id 80 ms [80 to 80], by filter 240 ms [240 to 240]");
  expect(table).toMatch(
    /the old instance from 0\.\d s, an interface without an instance from \d+\.\d s, nobody from \d+\.\d s, the new instance from \d+\.\d s/,
  );
  expect(table).toContain("DryRunOperation: Request would have succeeded");
  expect(table).toContain("--no-dry-run: An error occurred (UnauthorizedOperation)");
  expect(table).toContain("associated eipalloc-1 with here, 1 try, 6.4 s");
  expect(table).toContain("Everything has been removed.");
  expectNothingLeft(account);
});

test("an address that does not come, or does not come back, is a failure", async () => {
  const never = new Account();
  never.heals = false;
  const { status, text } = await run(never);
  expect(status).toBe(EXIT.failed);
  expect(text).toContain(`not within ${LIMITS.address} s; nobody has it`);
  expectNothingLeft(never);

  const once = new Account();
  once.rechecks = false;
  const after = await run(once);
  expect(after.status).toBe(EXIT.failed);
  expect(after.text).toMatch(/\| ✗ +\| taken off by hand: the recheck brings it back/);
  expectNothingLeft(once);
});

test("an address on an instance that is no member of the group has not arrived", async () => {
  const account = new Account();
  account.answers["autoscaling describe-auto-scaling-groups"] = () => ({ AutoScalingGroups: [] });
  const { status, text } = await run(account);
  expect(status).toBe(EXIT.failed);
  const seen = `not within ${LIMITS.address} s; i-\\d+ has it`;
  expect(text).toMatch(new RegExp(`\\| ✗ +\\| the group is new: .*\\| ${seen} \\|`));
  expectNothingLeft(account);
});

test("a member in standby after which nobody has the address is told so", async () => {
  const account = new Account();
  account.besides["ec2 start-instances"] = () => {
    account.heals = false;
    for (const id of account.addresses.keys()) account.associate(id, undefined);
  };
  const { text } = await run(account);
  expect(text).toMatch(/after a stop and a start \| .*; meanwhile nobody has the address/);
  expectNothingLeft(account);
});

test("a reboot that costs an association is a failure", async () => {
  const account = new Account();
  account.answers["ec2 reboot-instances"] = ({ InstanceIds }) => {
    const [id] = InstanceIds as string[];
    const machine = account.machines.find((one) => one.id === id);
    if (machine) machine.boots++;
    account.associate([...account.addresses.keys()][0] ?? "", id);
    return {};
  };
  const { status, text } = await run(account);
  expect(status).toBe(EXIT.failed);
  expect(text).toMatch(/the association changed from eipassoc-\d+ to eipassoc-\d+/);
});

test("without the console what only it shows is unknown, and nothing is claimed", async () => {
  const account = new Account();
  account.speaks = false;
  const { status, text } = await run(account);
  expect(status).toBe(EXIT.ok);
  expect(text).toMatch(/\| \? +\| a reboot: .*the console shows no second boot/);
  expect(text).toContain("its console shows no line of the heal");
  expect(text).toContain("the console does not show it");
  expectNothingLeft(account);
});

test("a step that AWS refuses is a row, and the others go on", async () => {
  const account = new Account();
  account.answers["autoscaling put-warm-pool"] = () => {
    throw refusal("autoscaling put-warm-pool", "ValidationError", "not in this region");
  };
  const { status, text } = await run(account);
  expect(status).toBe(EXIT.failed);
  expect(text).toMatch(/\| ✗ +\| states of a warm pool +\| .*not in this region/);
  expect(text).toMatch(/\| \? +\| AllowReassociation=false onto the place/);
  expectNothingLeft(account);
});

test("a refusal of AllowReassociation=false is the answer to the question", async () => {
  const account = new Account();
  account.answers["ec2 associate-address"] = ({ DryRun }) => {
    const command = "ec2 associate-address";
    throw refusal(
      command,
      DryRun === true ? "InvalidAllocationID.NotFound" : "Resource.AlreadyAssociated",
      "held",
    );
  };
  const { text } = await run(account);
  expect(text).toMatch(/onto a place with another Elastic IP \| Resource.AlreadyAssociated: held/);
  expect(text).toMatch(/an id that does not exist \| InvalidAllocationID.NotFound: held/);
});

describe("ended half-way it removes what there is", () => {
  test.each([
    ["because", "because"],
    [undefined, "no reason given"],
  ])("at a stack that fails, whose reason is %s", async (reason, said) => {
    const account = new Account();
    account.reason = reason;
    account.answers["cloudformation create-stack"] = ({ StackName, Tags }) => {
      account.stacks.set(String(StackName), { status: "ROLLBACK_COMPLETE", tags: Tags });
      return {};
    };
    const { text } = await run(account);
    expect(text).toMatch(`-network is ROLLBACK_COMPLETE: ${said}\n`);
    expectNothingLeft(account);
  });

  test("at a stack that is never ready", async () => {
    const account = new Account();
    account.answers["cloudformation create-stack"] = ({ StackName, Tags }) => {
      account.stacks.set(String(StackName), { status: "CREATE_IN_PROGRESS", tags: Tags });
      return {};
    };
    expect((await run(account)).text).toMatch(/the stack \S+-network was not ready in time/);
    expectNothingLeft(account);
  });

  test("at a stack without what the others need of it", async () => {
    const account = new Account();
    account.outputs = ["VpcId"];
    expect((await run(account)).text).toMatch(/the stack \S+-network has no output SubnetIds/);
    expectNothingLeft(account);
  });

  test("when interrupted, wherever it waits", async () => {
    for (let at = 1; ; at++) {
      const account = new Account();
      let sleeps = 0;
      const sleep = (ms: number) => {
        sleeps++;
        return sleeps < at ? account.clock.sleep(ms) : Promise.reject(new Error("interrupted"));
      };
      const { status, text } = await run(account, CONFIRMED, {
        clock: { ...account.clock, sleep },
      });
      expectNothingLeft(account);
      if (sleeps < at) break;
      expect(status, `at wait ${at}`).toBe(EXIT.failed);
      expect(text).toContain("**It ended early:** interrupted");
    }
  });
});

describe("whichever call goes wrong, nothing is left at last", () => {
  test.each<Trouble>(["lost", "answer lost", "refused", "gone for good"])("%s", async (how) => {
    // The first one asks whose account it is: nothing is there yet.
    for (let at = 2; ; at++) {
      const account = new Account();
      account.fault = { at, how };
      const { status, text } = await run(account);
      if (account.calls.length < at) break;
      const which = `call ${at}, ${account.calls[at - 1]}`;
      if (text.includes("Still there")) {
        expect(status, which).toBe(EXIT.failed);
        account.fault = undefined;
        const again = await run(account, REMOVE);
        expect(again.status, `${which}\n${again.text}`).toBe(EXIT.ok);
      }
      expectNothingLeft(account, which);
      if (how === "gone for good") expect(status, which).toBe(EXIT.failed);
    }
  });
});

describe("what cannot be removed", () => {
  test("is said, and keeps nothing else from being removed", async () => {
    const account = new Account();
    account.answers["ec2 release-address"] = () => {
      throw refusal("ec2 release-address", "AuthFailure", "not yours");
    };
    account.answers["cloudformation delete-stack"] = ({ StackName }) => {
      const stack = account.stacks.get(String(StackName));
      if (stack) stack.status = "DELETE_FAILED";
      return {};
    };
    account.reason = undefined;
    const { status, text } = await run(account);
    expect(status).toBe(EXIT.failed);
    expect(text).toContain("**Still there, and charged for:**");
    expect(text).toMatch(/- the stack \S+-group: DELETE_FAILED: no reason given/);
    expect(text).toMatch(/- the address eipalloc-\d+: aws ec2 release-address: .*AuthFailure/);
    expect([...account.buckets]).toEqual([]);
    // Each was tried a second time.
    const tries = account.calls.filter((call) => call === "cloudformation delete-stack");
    expect(tries).toHaveLength(4);
  });

  test("is a stack whose deletion does not end", async () => {
    const account = new Account();
    account.answers["cloudformation delete-stack"] = ({ StackName }) => {
      const stack = account.stacks.get(String(StackName));
      if (stack) stack.status = "DELETE_IN_PROGRESS";
      return {};
    };
    const { status, text } = await run(account);
    expect(status).toBe(EXIT.failed);
    expect(text).toMatch(/- the stack \S+-group: it was not deleted in time/);
    expect([...account.buckets]).toEqual([]);
  });

  test("nor what cannot even be listed", async () => {
    const account = new Account();
    account.answers["s3api list-buckets"] = () => {
      throw refusal("s3api list-buckets", "AccessDenied");
    };
    const { status, text } = await run(account);
    expect(status).toBe(EXIT.failed);
    expect(text).toContain("- the buckets: they cannot be listed");
    expect([...account.stacks]).toEqual([]);
  });
});

describe("--remove", () => {
  test("removes what any run has left, and nothing of others", async () => {
    const account = new Account();
    account.stacks.set(`${TAG}-1-network`, {
      status: "DELETE_FAILED",
      tags: [{ Key: TAG, Value: `${TAG}-1` }],
    });
    account.stacks.set("shop", {
      status: "CREATE_COMPLETE",
      tags: [{ Key: "team", Value: "shop" }],
    });
    account.buckets.set(`${TAG}-1-${ACCOUNT}`, new Map([["a", "b"]]));
    account.buckets.set("shop", new Map());
    account.addresses.set("eipalloc-1", { tags: [] });
    const { status, text } = await run(account, REMOVE);
    expect(status, text).toBe(EXIT.ok);
    expect([...account.stacks.keys()]).toEqual(["shop"]);
    expect([...account.buckets.keys()]).toEqual(["shop"]);
    expect(text).toContain(`nothing of ${TAG} is left in eu-west-1`);
    expect(account.calls.filter((call) => /create|allocate/.test(call))).toEqual([]);
  });

  test("removes a group whose warm pool an earlier run has left", async () => {
    const account = new Account();
    const tags = [{ Key: TAG, Value: `${TAG}-1` }];
    account.stacks.set(`${TAG}-1-group`, { status: "CREATE_COMPLETE", tags });
    account.warmPool = true;
    const { status, text } = await run(account, REMOVE);
    expect(status, text).toBe(EXIT.ok);
    expectNothingLeft(account);
  });

  test("removes a group that has never come to have its outputs", async () => {
    const account = new Account();
    const tags = [{ Key: TAG, Value: `${TAG}-1` }];
    account.stacks.set(`${TAG}-1-group`, { status: "ROLLBACK_COMPLETE", tags });
    account.outputs = [];
    const { status, text } = await run(account, REMOVE);
    expect(status, text).toBe(EXIT.ok);
    expect(account.calls).not.toContain("autoscaling describe-warm-pool");
    expectNothingLeft(account);
  });

  test.each([
    ["no more", []],
    ["as deleted", [{ StackStatus: "DELETE_COMPLETE" }]],
  ])("is satisfied with a stack that is shown %s", async (_, shown) => {
    const account = new Account();
    const listed = [{ StackName: `${TAG}-1-network`, Tags: [{ Key: TAG, Value: `${TAG}-1` }] }];
    account.answers["cloudformation describe-stacks"] = ({ StackName }) => ({
      Stacks: StackName === undefined ? listed : shown,
    });
    const { status, text } = await run(account, REMOVE);
    expect(status, text).toBe(EXIT.ok);
  });

  test("asks EC2 only for addresses with the tag", async () => {
    const account = new Account();
    let asked: unknown;
    account.answers["ec2 describe-addresses"] = ({ Filters }) => {
      asked = Filters;
      return { Addresses: [] };
    };
    await run(account, REMOVE);
    expect(asked).toEqual([{ Name: "tag-key", Values: [TAG] }]);
  });

  test("needs the same confirmation", async () => {
    const account = new Account();
    const other = REMOVE.with(1, "210987654321");
    expect((await run(account, other)).status).toBe(EXIT.usage);
    expect(account.calls).toEqual(["sts get-caller-identity"]);
  });

  test("says what is still there", async () => {
    const account = new Account();
    account.addresses.set("eipalloc-1", { tags: [] });
    account.answers["ec2 release-address"] = () => {
      throw refusal("ec2 release-address", "InvalidIPAddress.InUse");
    };
    const { status, text } = await run(account, REMOVE);
    expect(status).toBe(EXIT.failed);
    expect(text).toContain("still there: the address eipalloc-1: ");
  });
});

describe("what is read", () => {
  test("the console, with lines of others in between", () => {
    const { boots } = parse(
      "[ 1.0] EIP-HEAL-ACCEPTANCE boot a\r\nEIP-HEAL-ACCEPTANCE state 9 404 \r\n[ 1.1] kernel: noise\r\n" +
        "EIP-HEAL-ACCEPTANCE state 15 200 Warmed:Pending:Wait\nEIP-HEAL-ACCEPTANCE boot b\nEIP-HEAL-ACCEPTANCE log ok\n",
    );
    expect(boots.map(({ log }) => log)).toEqual([[], ["ok"]]);
    expect(boots.map(describeStates)).toEqual(["404 from 9 s, Warmed:Pending:Wait from 15 s", ""]);
    // EC2 keeps the end: a boot whose beginning is lost is one too.
    expect(parse("EIP-HEAL-ACCEPTANCE log late").boots).toHaveLength(1);
    expect(parse("").boots).toEqual([]);
  });

  test("the middle of values", () => {
    expect([median([5]), median([1, 9]), median([9, 1, 5])]).toEqual([5, 5, 5]);
  });
});

describe("the report", () => {
  const plan = {
    account: ACCOUNT,
    region: "eu-west-1",
    run: `${TAG}-1`,
    package: "a.rpm",
    arch: "arm64",
    limits: LIMITS,
  } as const;

  test("keeps its table whatever is in a cell", () => {
    const text = report(plan, [{ what: "a|b", ok: true, seen: "one\ntwo" }], [], 1.5, undefined);
    expect(text).toContain(String.raw`| ✓ | a\|b | one two |`);
    expect(text).toContain("90 min, at most $0.06");
  });

  test("of nothing is no success, and costs what was held", () => {
    expect(report(plan, [], [], 0, "x")).toContain("**It ended early:** x");
    expect(cost("arm64", 1, 0)).toBeCloseTo(3 * (0.0042 + 0.0009) + 5 * 0.005, 6);
    expect(cost("x86_64", 0, 10)).toBeCloseTo(1, 6);
  });
});
