/** Several addresses: what their runs have to do with each other. */
import { describe, expect, test } from "vitest";
import {
  type AddressState,
  type DesiredAddress,
  type Holder,
  isNameOf,
} from "../../src/model/address.ts";
import { EXIT, Failure } from "../../src/model/failure.ts";
import { heal, type HealOptions } from "../../src/run/heal.ts";
import { address, ME, mine, NOBODY, other } from "../reconcile/fixtures.ts";
import { settingsOf } from "../support/settings.ts";
import { inTime, observed, type Script, scripted, SELF } from "./scripted.ts";

const [A, B] = ["eipalloc-0000000000000000a", "eipalloc-0000000000000000b"] as const;
const IPS: Readonly<Record<string, string>> = { [A]: "203.0.113.10", [B]: "203.0.113.11" };
const LIST = `${A} ${B}@1`;

const PLACES = [
  mine("eni-00000000000000000", "10.0.0.5"),
  mine("eni-00000000000000001", "10.0.1.5"),
];

/** An EC2, and instance metadata that agrees with it, in which nobody holds the addresses, until they are associated. */
function anEc2() {
  const addresses = new Map<string, AddressState>(
    [A, B].map((allocationId) => [
      allocationId,
      address(NOBODY, { allocationId, publicIp: IPS[allocationId] ?? "" }),
    ]),
  );
  const writes: string[] = [];
  const script: Script = {
    instance: () => ({ ...SELF, interfaces: [A, B].map(interfaceOf) }),
    observe: (desired) => observed(look(desired)),
    associate: (allocationId) => {
      writes.push(allocationId);
      move(allocationId, PLACES[allocationId === A ? 0 : 1] ?? NOBODY);
    },
  };
  function interfaceOf(allocationId: string, deviceIndex: number) {
    const { publicIp = "", holder } = look({ kind: "address", allocationId });
    const [privateIp, isHere] = [`10.0.${deviceIndex}.5`, holder === PLACES[deviceIndex]];
    return {
      interfaceId: `eni-0000000000000000${deviceIndex}`,
      mac: `0a:00:00:00:00:0${deviceIndex}`,
      deviceIndex,
      cardIndex: 0,
      privateIps: [privateIp],
      publicIps: isHere ? { [privateIp]: publicIp } : {},
      hasIpv6: false,
    };
  }
  function look(desired: DesiredAddress): AddressState {
    const found = [...addresses.values()].find((one) => isNameOf(desired, one));
    if (found === undefined) throw new Error("there is no such address");
    return found;
  }
  function move(allocationId: string, holder: Holder): void {
    addresses.set(allocationId, { ...look({ kind: "address", allocationId }), holder });
  }
  return { look, move, writes, script };
}

function begin(script: Script, options: HealOptions = {}, list = LIST) {
  const world = scripted(script);
  const settings = settingsOf({ EIP_HEAL_ALLOCATION_ID: list });
  const work = heal(settings, world.ports, options, new AbortController().signal);
  return { ...world, work: inTime(world.time, work) };
}

describe("a bug in the run of one address", () => {
  test("ends those of the others before it is thrown, so that nothing is written afterwards", async () => {
    const { script, writes } = anEc2();
    const bug = new TypeError("a bug");
    let looks = 0;
    const { asked, work } = begin({
      ...script,
      // The first address is still being looked at when the bug in the run of the second one shows.
      takes: (request) => (request === "observe" && looks++ === 0 ? 100 : 0),
      observe: (desired) => {
        if (isNameOf(desired, { allocationId: B })) throw bug;
        return script.observe?.(desired) ?? observed();
      },
    });
    const open = work.catch(() => asked().filter((call) => call === "connect" || call === "close"));
    await expect(work).rejects.toBe(bug);
    expect(writes).toEqual([]);
    expect(await open).toEqual(["connect", "connect", "close", "close"]);
  });
});

describe("an address that comes a minute after the other one", () => {
  const LATE = 60_000;
  /** EC2 does not answer for the second address until it is late. */
  function late(ec2: ReturnType<typeof anEc2>, now: () => number): Script {
    const silence = new Failure("unreachable", { why: "no answer" });
    return {
      ...ec2.script,
      observe: (desired) =>
        isNameOf(desired, { allocationId: B }) && now() < LATE
          ? silence
          : observed(ec2.look(desired)),
    };
  }
  function run(ec2: ReturnType<typeof anEc2>) {
    let clock = () => 0;
    const world = begin(
      late(ec2, () => clock()),
      { onEnd: (one) => void said.push(one.name) },
    );
    const said: string[] = [];
    clock = world.ports.clock.now;
    return { ...world, said };
  }

  test("is the last of both to be looked at but for one look at the first, which is still here", async () => {
    const ec2 = anEc2();
    const { work, asked, said } = run(ec2);
    const outcome = await work;
    expect(outcome).toMatchObject({ end: "settled", change: "associated" });
    expect(outcome.each).toMatchObject([
      { outcome: { change: "associated", ms: 6_000, asOf: outcome.ms } },
      { outcome: { change: "associated" } },
    ]);
    expect(asked().filter((call) => call === `observe ${A}`)).toHaveLength(4);
    expect(ec2.writes).toEqual([A, B]);
    expect(said).toEqual([A, `${B}@1`]);
  });

  test("does not hide that the first was moved away meanwhile: it is brought back, and both are here", async () => {
    const ec2 = anEc2();
    const { work, time, said } = run(ec2);
    void time.sleep(LATE / 2).then(() => ec2.move(A, other("running", -60)));
    const outcome = await work;
    expect(outcome).toMatchObject({
      end: "settled",
      each: [{ outcome: { change: "taken" } }, { outcome: { change: "associated" } }],
    });
    expect(ec2.look({ kind: "address", allocationId: A }).holder).toMatchObject({ instanceId: ME });
    expect(said).toEqual([A, `${B}@1`, A]);
  });

  test("does not hide that a newer instance has taken the first meanwhile: the run does not succeed", async () => {
    const ec2 = anEc2();
    const { work, time } = run(ec2);
    void time.sleep(LATE / 2).then(() => ec2.move(A, other("running", 60)));
    expect(await work).toMatchObject({
      end: "failed",
      status: EXIT.UNAVAILABLE,
      each: [{ outcome: { end: "failed" } }, { outcome: { end: "settled" } }],
    });
    expect(ec2.writes).toEqual([A, B]);
  });
});
