/** The acceptance on an account in memory: what it plays and measures, and that nothing stays whatever happens. */
import { describe, expect, test } from "vitest";
import { accept, EXIT } from "../../acceptance/accept.ts";
import { AwsError, latencyIn } from "../../acceptance/aws.ts";
import { describeStates, parse } from "../../acceptance/console.ts";
import { median } from "../../acceptance/measure.ts";
import { cost, LIMITS, TAG } from "../../acceptance/plan.ts";
import { report } from "../../acceptance/report.ts";
import { Account, ACCOUNT, refusal } from "./account.ts";

const CONFIRMED = ["--account", ACCOUNT, "--region", "eu-west-1", "--package", "a.x86_64.rpm"];
const CHANGES =
  /create|allocate|put-|associate|release|delete|terminate|reboot|stop|start|standby|desired/;

/** Runs it; its exit status, and all that it has printed. */
async function run(account: Account, args: readonly string[] = CONFIRMED) {
  const printed: string[] = [];
  const status = await accept(args, {
    awsIn: () => account,
    clock: account.clock,
    removalClock: account.clock,
    print: (text) => printed.push(text),
  });
  return { status, text: printed.join("\n") };
}

function expectNothingLeft(account: Account): void {
  expect([...account.stacks.keys()]).toEqual([]);
  expect([...account.addresses.keys()]).toEqual([]);
  expect([...account.buckets.keys()]).toEqual([]);
  expect(account.warmPool).toBe(false);
  expect(account.group).toEqual([]);
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
  expect(table).toMatch(/nobody from \d+\.\d s, the new instance from \d+\.\d s/);
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
    "ec2 allocate-address",
    "s3api create-bucket",
    "s3api put-object",
    "ssm get-parameter",
    "autoscaling describe-auto-scaling-groups",
    "ec2 get-console-output",
  ])("at %s", async (command) => {
    const account = new Account();
    account.answers[command] = () => {
      throw new Error("the network is gone");
    };
    const { status, text } = await run(account);
    expect(status).toBe(EXIT.failed);
    expect(text).toContain("**It ended early:** the network is gone");
    expectNothingLeft(account);
  });

  test("at a stack that fails", async () => {
    const account = new Account();
    account.answers["cloudformation create-stack"] = ({ StackName, Tags }) => {
      account.stacks.set(String(StackName), { status: "ROLLBACK_COMPLETE", tags: Tags });
      return {};
    };
    const { text } = await run(account);
    expect(text).toMatch(/the stack \S+-network is ROLLBACK_COMPLETE: because/);
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

  test("when interrupted", async () => {
    const account = new Account();
    const interrupted = new Error("interrupted");
    const printed: string[] = [];
    const status = await accept(CONFIRMED, {
      awsIn: () => account,
      clock: { now: () => account.now, sleep: () => Promise.reject(interrupted) },
      removalClock: account.clock,
      print: (text) => printed.push(text),
    });
    expect(status).toBe(EXIT.failed);
    expect(printed.join("\n")).toContain("**It ended early:** interrupted");
    expectNothingLeft(account);
  });

  test("in the middle of the warm pool, which no group can be deleted with", async () => {
    const account = new Account();
    account.answers["autoscaling describe-warm-pool"] = () => {
      if (account.warmPool) throw new Error("the network is gone");
      return { Instances: [] };
    };
    await run(account);
    expectNothingLeft(account);
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
    const { status, text } = await run(account);
    expect(status).toBe(EXIT.failed);
    expect(text).toContain("**Still there, and charged for:**");
    expect(text).toMatch(/- the stack \S+-group: DELETE_FAILED: because/);
    expect(text).toMatch(/- the address eipalloc-\d+: aws ec2 release-address: .*AuthFailure/);
    expect([...account.buckets]).toEqual([]);
    // Each was tried a second time.
    const tries = account.calls.filter((call) => call === "cloudformation delete-stack");
    expect(tries).toHaveLength(4);
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
  const REMOVE = ["--account", ACCOUNT, "--region", "eu-west-1", "--remove"];

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

  test("an error of the AWS CLI", () => {
    const said =
      "\nAn error occurred (Resource.AlreadyAssociated) when calling the AssociateAddress operation: held";
    expect(new AwsError("ec2 associate-address", said).code).toBe("Resource.AlreadyAssociated");
    expect(new AwsError("ec2 associate-address", "Could not connect").code).toBe("");
  });

  test("how long AWS took, by the log of --debug", () => {
    const debug = [
      "2026-11-26 19:29:49,876 - MainThread - botocore.endpoint - DEBUG - Sending http request: <AWSPreparedRequest>",
      "2026-11-26 19:29:50,101 - MainThread - botocore.parsers - DEBUG - Response headers: {}",
    ].join("\n");
    expect(latencyIn(debug)).toBe(225);
    expect(() => latencyIn("")).toThrow("did not log");
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
