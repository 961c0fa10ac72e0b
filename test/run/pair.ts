/** Two addresses for one instance with two interfaces, whose EC2 answers by what was asked of it before. */
import {
  type AddressState,
  type DesiredAddress,
  type Holder,
  isNameOf,
} from "../../src/model/address.ts";
import type { Instance } from "../../src/model/instance.ts";
import { address, mine, NOBODY } from "../reconcile/fixtures.ts";
import { observed, type Script, SELF } from "./scripted.ts";

export const [A, B] = ["eipalloc-0000000000000000a", "eipalloc-0000000000000000b"] as const;
export const IPS: Readonly<Record<string, string>> = { [A]: "203.0.113.10", [B]: "203.0.113.11" };
export const LIST = `${A} ${B}@1`;

export const PLACES = [
  mine("eni-00000000000000000", "10.0.0.5"),
  mine("eni-00000000000000001", "10.0.1.5"),
];

/** An EC2, and instance metadata that agrees with it, in which nobody holds the addresses, until they are associated. */
export function anEc2() {
  const addresses = new Map<string, AddressState>(
    [A, B].map((allocationId) => [
      allocationId,
      address(NOBODY, { allocationId, publicIp: IPS[allocationId] ?? "" }),
    ]),
  );
  const writes: string[] = [];
  const script: Script = {
    instance,
    observe: (desired) => observed(look(desired)),
    associate: (allocationId) => {
      writes.push(allocationId);
      move(allocationId, PLACES[allocationId === A ? 0 : 1] ?? NOBODY);
    },
  };
  function instance(): Instance {
    return { ...SELF, interfaces: [A, B].map(interfaceOf) };
  }
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
  return { instance, look, move, writes, script };
}
