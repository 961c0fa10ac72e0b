/** Is this instance in service? By instance metadata, else by Auto Scaling, else that is not known. */
import { describe, expect, test } from "vitest";
import { Failure } from "../../src/model/failure.ts";
import type { Instance } from "../../src/model/instance.ts";
import { serviceState } from "../../src/run/in-service.ts";
import { ALONE, GROUP, inTime, type Script, scripted, SELF } from "./scripted.ts";

interface Known {
  /** The group, by the tags that EC2 has shown. */
  readonly group?: string;
  readonly mayAsk?: boolean;
}

async function state(self: Instance, script: Script = {}, { group, mayAsk = true }: Known = {}) {
  const { time, ports, asked } = scripted(script);
  let hasRefused = false;
  const session = await ports.open(new AbortController().signal);
  const context = { ports, step: "starting" };
  const work = serviceState(context, session, self, group, mayAsk, () => {
    hasRefused = true;
  });
  const found = await inTime(time, work);
  return { found, asked: asked(), hasRefused, step: context.step };
}

const inState = (lifecycleState: string): Instance => ({ ...SELF, lifecycleState });
const MEMBER: Instance = { ...ALONE, group: GROUP };
const memberIn = (lifecycleState: string): Script => ({
  member: () => ({ group: GROUP, lifecycleState }),
});

describe("instance metadata shows", () => {
  test.each([
    ["InService", "in service"],
    ["Warmed:Running", "out of service"],
    ["Warmed:Stopped", "out of service"],
    ["Standby", "out of service"],
    ["Detached", "out of service"],
    ["Terminated", "out of service"],
  ])("%s: %s, and nobody is asked", async (lifecycleState, is) => {
    expect(await state(inState(lifecycleState))).toMatchObject({ found: { is }, asked: [] });
  });

  test("nothing, and no group either: not shown, and nobody is asked", async () => {
    expect(await state(ALONE)).toMatchObject({ found: { is: "not shown" }, asked: [] });
  });
});

describe("in a group that instance metadata shows without a state, Auto Scaling is asked", () => {
  test.each([
    ["InService", "in service"],
    // On the way there.
    ["Pending", "in service"],
    ["Pending:Wait", "in service"],
    ["Pending:Proceed", "in service"],
    ["Warmed:Pending", "out of service"],
    ["Warmed:Pending:Wait", "out of service"],
    ["Warmed:Running", "out of service"],
    ["Pending:Waiting", "out of service"],
    ["EnteringStandby", "out of service"],
    ["Standby", "out of service"],
    ["Detaching", "out of service"],
    ["Terminating:Wait", "out of service"],
    ["Terminated", "out of service"],
  ])("%s: %s", async (lifecycleState, is) => {
    const { found, asked } = await state(MEMBER, memberIn(lifecycleState));
    expect(found).toMatchObject({ is });
    expect(asked).toEqual(["member", "close Auto Scaling"]);
  });

  test("by the tags that EC2 has shown, too", async () => {
    const { found } = await state(ALONE, memberIn("InService"), { group: GROUP });
    expect(found).toEqual({ is: "in service" });
  });

  test.each<[string, Required<Script>["member"]]>([
    ["that knows no such instance yet", () => undefined],
    ["that shows no state", () => ({ group: GROUP })],
    ["that does not answer", () => new Failure("unreachable", { why: "no answer" })],
    ["that throttles", () => new Failure("throttled", { why: "too many" })],
  ])("one %s: not shown, and worth asking again", async (_, member) => {
    const { found, hasRefused, asked } = await state(MEMBER, { member });
    expect(found).toEqual({ is: "not shown", group: GROUP });
    expect(hasRefused).toBe(false);
    expect(asked.at(-1)).toBe("close Auto Scaling");
  });

  test("one that refuses is not asked again", async () => {
    const denied: Script = { member: () => new Failure("denied", { why: "not allowed" }) };
    const first = await state(MEMBER, denied);
    expect(first).toMatchObject({ found: { is: "not shown", group: GROUP }, hasRefused: true });
    const second = await state(MEMBER, denied, { mayAsk: false });
    expect(second).toMatchObject({ found: { is: "not shown", group: GROUP }, asked: [] });
  });

  test("a bug is not taken for an answer", async () => {
    await expect(state(MEMBER)).rejects.toThrow("not in the script");
  });
});
