/** Several addresses: what their runs have to do with each other. */
import { describe, expect, test } from "vitest";
import { type AddressState, type DesiredAddress, isNameOf } from "../../src/model/address.ts";
import type { Instance } from "../../src/model/instance.ts";
import { heal, type HealOptions } from "../../src/run/heal.ts";
import { address, mine, NOBODY } from "../reconcile/fixtures.ts";
import { settingsOf } from "../support/settings.ts";
import { inTime, observed, type Script, scripted, SELF } from "./scripted.ts";

const [A, B] = ["eipalloc-0000000000000000a", "eipalloc-0000000000000000b"] as const;
const IPS: Readonly<Record<string, string>> = { [A]: "203.0.113.10", [B]: "203.0.113.11" };
const LIST = `${A} ${B}@1`;

const interfaceAt = (deviceIndex: number) => ({
  interfaceId: `eni-0000000000000000${deviceIndex}`,
  mac: `0a:00:00:00:00:0${deviceIndex}`,
  deviceIndex,
  cardIndex: 0,
  privateIps: [`10.0.${deviceIndex}.5`],
  publicIps: {},
  hasIpv6: false,
});
/** With two interfaces; instance metadata shows no public address. */
const TWO: Instance = { ...SELF, interfaces: [interfaceAt(0), interfaceAt(1)] };
const PLACES = [
  mine("eni-00000000000000000", "10.0.0.5"),
  mine("eni-00000000000000001", "10.0.1.5"),
];

/** An EC2 in which nobody holds the addresses, until they are associated. */
function anEc2() {
  const addresses = new Map<string, AddressState>(
    [A, B].map((allocationId) => [
      allocationId,
      address(NOBODY, { allocationId, publicIp: IPS[allocationId] ?? "" }),
    ]),
  );
  const writes: string[] = [];
  const script: Script = {
    instance: () => TWO,
    observe: (desired) => observed(look(desired)),
    associate: (allocationId) => {
      writes.push(allocationId);
      const holder = PLACES[allocationId === A ? 0 : 1] ?? NOBODY;
      addresses.set(allocationId, { ...look({ kind: "address", allocationId }), holder });
    },
  };
  function look(desired: DesiredAddress): AddressState {
    const found = [...addresses.values()].find((one) => isNameOf(desired, one));
    if (found === undefined) throw new Error("there is no such address");
    return found;
  }
  return { addresses, writes, script };
}

function begin(script: Script, options: HealOptions = {}, list = LIST) {
  const world = scripted(script);
  const settings = settingsOf({ EIP_HEAL_ALLOCATION_ID: list });
  const work = heal(settings, world.ports, options, new AbortController().signal);
  return { ...world, work };
}

describe("a bug in the run of one address", () => {
  test("ends those of the others before it is thrown, so that nothing is written afterwards", async () => {
    const { script, writes } = anEc2();
    const bug = new TypeError("a bug");
    let looks = 0;
    const { time, asked, work } = begin({
      ...script,
      // The first address is still being looked at when the bug in the run of the second one shows.
      takes: (request) => (request === "observe" && looks++ === 0 ? 100 : 0),
      observe: (desired) => {
        if (isNameOf(desired, { allocationId: B })) throw bug;
        return script.observe?.(desired) ?? observed();
      },
    });
    const open = work.catch(() => asked().filter((call) => call === "connect" || call === "close"));
    await expect(inTime(time, work)).rejects.toBe(bug);
    expect(writes).toEqual([]);
    expect(await open).toEqual(["connect", "connect", "close", "close"]);
  });
});
