import { describe, expect, test } from "vitest";
import type { AddressState, Holder } from "../../src/model/address.ts";
import type { Instance } from "../../src/model/instance.ts";
import type { Target } from "../../src/model/target.ts";
import {
  decide,
  TAKEOVERS,
  type Takeover,
  wasLaunchedBefore,
  whyInterrupted,
  mayEnterServiceRunning,
  whyNotInService,
} from "../../src/reconcile/ownership.ts";
import { UNANSWERED_FOR_MS, UNKNOWN_FOR_MS } from "../../src/reconcile/bounds.ts";
import { address, LAUNCHED, ME, mine, other, TARGET } from "./fixtures.ts";

const verdict = (
  holder: Holder,
  takeover: Takeover,
  more: Partial<AddressState> = {},
  unknownForMs = 0,
) => decide(TARGET, "us-east-1a", address(holder, more), takeover, unknownForMs).do;

// The table of docs/how-it-decides.md, row by row; columns in the order of TAKEOVERS.
const ROWS: [string, Holder, Partial<AddressState>, string[]][] = [
  ["nobody", { kind: "nobody" }, {}, ["associate", "associate", "associate", "associate"]],
  [
    "here",
    mine(TARGET.interfaceId, TARGET.privateIp),
    {},
    ["settled", "settled", "settled", "settled"],
  ],
  [
    "this instance, at a place that EC2 does not show",
    { kind: "instance", instanceId: ME, state: "running" },
    { elasticIpHere: "203.0.113.8" },
    ["probe", "probe", "probe", "probe"],
  ],
  [
    "another interface of ours",
    mine("eni-00000000000000002", "10.0.0.5"),
    {},
    ["take", "take", "take", "take"],
  ],
  [
    "another private address of ours",
    mine(TARGET.interfaceId, "10.0.0.6"),
    {},
    ["take", "take", "take", "take"],
  ],
  ...(["stopping", "stopped", "shutting-down", "terminated"] as const).map(
    (state): [string, Holder, Partial<AddressState>, string[]] => [
      `a newer instance that is ${state}`,
      other(state, 60),
      {},
      ["wait", "take", "take", "take"],
    ],
  ),
  ["running, older", other("running", -1), {}, ["wait", "wait", "take", "take"]],
  ["pending, older", other("pending", -1), {}, ["wait", "wait", "take", "take"]],
  ["running, newer", other("running", 1), {}, ["wait", "wait", "yield", "take"]],
  ["pending, newer", other("pending", 1), {}, ["wait", "wait", "yield", "take"]],
  [
    "same second, higher id",
    other("running", 0, "i-0000000000000005b"),
    {},
    ["wait", "wait", "yield", "take"],
  ],
  [
    "same second, lower id",
    other("running", 0, "i-00000000000000059"),
    {},
    ["wait", "wait", "take", "take"],
  ],
  [
    "something that is no instance",
    { kind: "other", what: "eni-1" },
    {},
    ["refuse", "refuse", "refuse", "refuse"],
  ],
  [
    "another border group",
    { kind: "nobody" },
    { borderGroup: "us-east-1-bos-1" },
    ["refuse", "refuse", "refuse", "refuse"],
  ],
];

describe("the ownership rule", () => {
  test.each(ROWS)("held by %s", (_name, holder, more, expected) => {
    expect(TAKEOVERS.map((takeover) => verdict(holder, takeover, more))).toEqual(expected);
  });

  test("does not rob an instance that EC2 does not know yet, only one that it does not know any more", () => {
    const { launchedAt: _, ...unknown } = other("unknown");
    for (const [takeover, early, expected] of [
      ["never", "wait", "wait"],
      ["if-gone", "wait", "take"],
      ["newest", "wait", "take"],
      ["always", "take", "take"],
    ] as const) {
      expect(verdict(unknown, takeover, {}, UNKNOWN_FOR_MS - 1)).toBe(early);
      expect(verdict(unknown, takeover, {}, UNKNOWN_FOR_MS)).toBe(expected);
    }
    expect(UNKNOWN_FOR_MS).toBe(15_000);
  });

  test("looks again soon at one that EC2 does not know", () => {
    const soon = (unknownForMs: number) =>
      decide(TARGET, "us-east-1a", address(other("unknown")), "newest", unknownForMs);
    expect(soon(0)).toMatchObject({ do: "wait", soonMs: 5_000 });
    expect(soon(12_000)).toMatchObject({ do: "wait", soonMs: 3_000 });
  });

  test("waits for one whose state says nothing", () => {
    for (const [takeover, expected] of [
      ["never", "wait"],
      ["if-gone", "wait"],
      ["newest", "wait"],
      ["always", "take"],
    ] as const) {
      expect(verdict(other("unrecognized", -60), takeover)).toBe(expected);
    }
  });

  test("waits while EC2 does not show both launch times", () => {
    const { launchedAt: _, ...timeless } = other("running", -60);
    expect(verdict(timeless, "newest")).toBe("wait");
    const { selfLaunchedAt: __, ...newborn } = address(other("running", -60));
    expect(decide(TARGET, "us-east-1a", newborn, "newest", 0).do).toBe("wait");
  });

  test("gives the same answer on both sides: of two instances exactly one may hold it", () => {
    const times = [-1, 0, 1];
    for (const seconds of times) {
      const them = other("running", seconds);
      const there: Target = {
        ...TARGET,
        instanceId: them.instanceId,
        interfaceId: "eni-9",
        privateIp: "10.0.0.9",
      };
      const mineSeenByThem: Holder = { ...other("running", 0, ME) };
      const fromMe = verdict(them, "newest");
      const fromThem = decide(
        there,
        "us-east-1a",
        address(mineSeenByThem, { selfLaunchedAt: LAUNCHED + seconds * 1_000 }),
        "newest",
        0,
      ).do;
      expect([fromMe, fromThem].toSorted()).toEqual(["take", "yield"]);
    }
  });
});

describe("the gate", () => {
  const self = (lifecycleState?: string): Instance => ({
    instanceId: ME,
    region: "us-east-1",
    zone: "us-east-1a",
    interfaces: [],
    ...(lifecycleState !== undefined && { lifecycleState }),
  });

  test.each([undefined, "InService"])("opens for %s", (state) => {
    expect(whyNotInService(self(state))).toBeUndefined();
  });

  test.each([
    "Warmed:Stopped",
    "Warmed:Running",
    "Warmed:Hibernated",
    "Warmed:Terminated",
    "Standby",
    "Detached",
    "Terminated",
  ])("is closed for %s", (state) => {
    expect(whyNotInService(self(state))).toContain(state);
  });

  test.each([
    ["Standby", true],
    ["Warmed:Running", true],
    ["Warmed:Hibernated", true],
    ["Warmed:Stopped", false],
    ["Warmed:Running:Wait", false],
    ["Detached:Standby", false],
    ["InService", false],
    [undefined, false],
  ])("opens without a boot after %s: %s", (state, may) => {
    expect(mayEnterServiceRunning(state)).toBe(may);
  });

  test("is closed for a spot instance that is about to be interrupted", () => {
    expect(whyInterrupted(undefined)).toBeUndefined();
    expect(whyInterrupted("hibernate")).toBe("this spot instance is about to hibernate");
  });
});

describe("a holder that EC2 does not answer for, while it answers for this instance", () => {
  const { launchedAt: _, ...unanswered } = other("unanswered");
  const after = (ms: number, takeover: Takeover, isReplacement: boolean) =>
    decide(TARGET, "us-east-1a", address(unanswered), takeover, ms, isReplacement).do;

  test("is older than a replacement, after a minute", () => {
    expect(after(UNANSWERED_FOR_MS - 1, "newest", true)).toBe("wait");
    expect(after(UNANSWERED_FOR_MS, "newest", true)).toBe("take");
  });

  test("keeps the address before an instance that merely reboots", () => {
    expect(after(UNANSWERED_FOR_MS, "newest", false)).toBe("wait");
    // Which it counts as if nobody says that it is a new one.
    expect(verdict(unanswered, "newest", {}, UNANSWERED_FOR_MS)).toBe("wait");
  });

  test("is not known to be gone", () => {
    expect(after(UNANSWERED_FOR_MS, "if-gone", true)).toBe("wait");
    expect(after(UNANSWERED_FOR_MS, "never", true)).toBe("wait");
    expect(after(0, "always", false)).toBe("take");
  });
});

test("a state that EC2 may have added says nothing about a zone, however long it is shown", () => {
  const { launchedAt: _, ...unrecognized } = other("unrecognized");
  const shown = address(unrecognized);
  expect(decide(TARGET, "us-east-1a", shown, "newest", UNANSWERED_FOR_MS, true).do).toBe("wait");
});

test("an instance was not launched before itself", () => {
  const one = { instanceId: ME, launchedAt: LAUNCHED };
  expect(wasLaunchedBefore(one, one)).toBe(false);
});

describe("where EC2 does not show all of it", () => {
  const { borderGroup: _, ...somewhere } = address({ kind: "nobody" });
  const here = { kind: "instance", instanceId: ME } as const;

  test("an address without a border group is one of this one", () => {
    expect(decide(TARGET, "us-east-1a", somewhere, "newest", 0).do).toBe("associate");
  });

  test("an interface without a private address is no place, nor the other way round", () => {
    expect(verdict({ ...here, interfaceId: TARGET.interfaceId }, "newest")).toBe("probe");
    expect(verdict({ ...here, privateIp: TARGET.privateIp }, "newest")).toBe("probe");
  });
});

describe("people are told", () => {
  const told = (holder: Holder) => {
    const decision = decide(TARGET, "us-east-1a", address(holder), "newest", UNKNOWN_FOR_MS);
    return "because" in decision ? decision : { because: "" };
  };

  test("in which state the holder is that counts as gone", () => {
    expect(told(other("stopped")).because).toContain("stopped");
    expect(told(other("unknown")).because).toMatch(/not known to EC2/);
  });

  test("when both were launched, where the newer one has it", () => {
    const { because } = told(other("running", 60));
    expect(because).toContain("2026-11-23T10:01:00Z");
    expect(because).toContain("2026-11-23T10:00:00Z");
  });

  test("of the permission by which an interface that is left over can be taken, and only of such a one", () => {
    const held = (isOrphan?: boolean) =>
      told({ kind: "other", what: "eni-1", ...(isOrphan !== undefined && { isOrphan }) });
    const permission = "ec2:DescribeNetworkInterfaces";
    expect(held(true)).toMatchObject({ remedy: expect.stringContaining(permission) as string });
    for (const other of [held(false), held()]) {
      expect(other).toMatchObject({ remedy: expect.not.stringContaining(permission) as string });
    }
  });
});

test("an interface that belongs to no instance may be let go, and others are not", () => {
  const held = (isOrphan: boolean) =>
    decide(TARGET, "us-east-1a", address({ kind: "other", what: "eni-1", isOrphan }), "newest", 0);
  expect(held(true)).toMatchObject({ do: "refuse", isOrphan: true });
  expect(held(false)).not.toHaveProperty("isOrphan");
});
