import fc from "fast-check";
import { expect, test } from "vitest";
import { trials } from "../test/support/properties.ts";

import { Ec2Error } from "./errors.ts";
import { Region } from "./region.ts";
import { aWorld } from "./world.ts";

/** One thing that happens, chosen by numbers that are taken modulo what there is. */
const event = fc.record({
  what: fc.constantFrom(
    "associate",
    "claim",
    "disassociate",
    "stop",
    "stopped",
    "start",
    "running",
    "terminate",
    "terminated",
    "forget",
    "launch",
    "attach",
    "detach",
    "service",
  ),
  which: fc.nat(20),
  other: fc.nat(20),
});

test.each(trials(300))(
  "whatever happens, an address and the interface that holds it agree (seed $seed)",
  (trial) => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const world = aWorld();
        for (let n = 0; n < 3; n++) world.address();
        for (let n = 0; n < 3; n++) world.instance({ autoPublicIp: n > 0 });
        let now = Date.UTC(2026, 5, 1);
        const region = new Region(world.data, () => now);
        for (const { what, which, other } of events) {
          now += 700;
          try {
            happen(region, what, which, other);
          } catch (error) {
            if (!(error instanceof Ec2Error)) throw error;
          }
          check(region);
        }
      }),
      trial,
    );
  },
);

function happen(region: Region, what: string, which: number, other: number): void {
  const instances = region.instances();
  const instance = instances[which % instances.length];
  const allocationId = region.addresses()[other % 3]?.allocationId ?? "";
  if (what === "launch" || instance === undefined) {
    region.launch({ autoPublicIp: which % 2 === 0 });
    return;
  }
  const { instanceId, interfaces } = instance;
  const eni = interfaces[other % Math.max(1, interfaces.length)]?.networkInterfaceId;
  switch (what) {
    case "associate":
      region.associate(allocationId, eni ?? instanceId);
      return;
    case "claim":
      region.associateAddress(
        { instanceId },
        { allocationId, instanceId, allowReassociation: false },
      );
      return;
    case "disassociate":
      region.disassociate(allocationId);
      return;
    case "attach":
      if (instance.state === "running") region.attach(instanceId);
      return;
    case "detach":
      if (eni !== undefined && interfaces.length > 1) region.detach(eni);
      return;
    case "service":
      if (region.holder(allocationId) === undefined)
        region.associateWithService(allocationId, "nat-gateway");
      return;
    case "forget":
      if (instance.state === "terminated") region.forget(instanceId);
      return;
    case "stop":
    case "stopped":
    case "start":
    case "running":
    case "terminate":
    case "terminated":
      region[what](instanceId);
  }
}

function check(region: Region): void {
  const publicIps: string[] = [];
  for (const address of region.addresses()) {
    publicIps.push(address.publicIp);
    const held = address.association;
    if (held === undefined) continue;
    const eni = region.interface(held.networkInterfaceId);
    expect(eni.instanceId).toBe(held.instanceId);
    const at = eni.addresses.find((one) => one.privateIp === held.privateIp);
    expect(at?.allocationId).toBe(address.allocationId);
  }
  for (const instance of region.instances()) {
    for (const eni of instance.interfaces) {
      expect(eni.instanceId).toBe(instance.instanceId);
      expect(region.interface(eni.networkInterfaceId)).toBe(eni);
      for (const at of eni.addresses) {
        if (at.autoPublicIp !== undefined) publicIps.push(at.autoPublicIp);
        if (at.allocationId === undefined) continue;
        // An Elastic IP and an assigned public IPv4 exclude each other.
        expect(at.autoPublicIp).toBeUndefined();
        expect(region.holder(at.allocationId)?.networkInterfaceId).toBe(eni.networkInterfaceId);
      }
    }
  }
  expect(new Set(publicIps).size).toBe(publicIps.length);
}
