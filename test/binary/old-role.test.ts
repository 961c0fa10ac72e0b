/** Several Elastic IPs on an instance with the old role: the real binary, with every call counted. */
import { describe, expect, test } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { PLACES, play, reassociations, settled } from "./counted.ts";

/** EC2 does not tell this role which allocation a public address belongs to. */
describe.concurrent("several Elastic IPs on this instance, seen with the old role", () => {
  function scene(strictPlaces = false) {
    const world = aWorld({ settings: { strictPlaces } });
    const wanted = world.address();
    const others = [world.address(), world.address()] as const;
    const me = world.instance({
      role: "old",
      enis: [
        { privateIps: ["10.0.0.20", "10.0.0.21"] },
        { privateIps: ["10.0.1.20"], deviceIndex: 1 },
      ],
    });
    return { world, wanted, others, me };
  }

  test("the wanted one at its place: settled, under its own name", async () => {
    const { world, wanted, others, me } = scene();
    world.hold(wanted, me);
    world.hold(others[0], me, "10.0.1.20");
    const { run, region, associate } = await play(world, me, {
      environment: settled(wanted.allocationId),
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(run.result).toMatchObject({ change: "none", publicIp: wanted.publicIp });
    expect(associate).toMatchObject({ AllowReassociation: "false" });
    expect(region.holder(wanted.allocationId)?.privateIp).toBe("10.0.0.20");
  });

  test.each([
    ["another one at our place: disassociated and named", "10.0.0.20", undefined],
    ["another one besides", "10.0.0.21", undefined],
    ["two others", "10.0.0.20", "10.0.0.21"],
  ])("the wanted one on another interface, %s", async (_, first, second) => {
    const { world, wanted, others, me } = scene();
    world.hold(wanted, me, "10.0.1.20");
    world.hold(others[0], me, first);
    if (second !== undefined) world.hold(others[1], me, second);
    const { run, region } = await play(
      world,
      me,
      { environment: settled(wanted.allocationId) },
      { mostWrites: 2 },
    );
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(region.holder(wanted.allocationId)?.privateIp).toBe("10.0.0.20");
    expect(run.result).toMatchObject({ change: "taken", publicIp: wanted.publicIp });
    expect(run.log).toEqual([
      ...(first === "10.0.0.20"
        ? [expect.stringContaining(`${others[0].publicIp} was disassociated`)]
        : []),
      expect.stringContaining("moved from"),
    ]);
  });

  test.each(PLACES)(
    "let go while its place is made sure of: under its own name, and what it pushes off is named (EC2 $does)",
    async ({ strictPlaces }) => {
      const { world, wanted, others, me } = scene(strictPlaces);
      world.hold(wanted, me, "10.0.1.20");
      world.hold(others[0], me);
      world.hold(others[1], me, "10.0.0.21");
      const { run, region } = await play(
        world,
        me,
        { environment: settled(wanted.allocationId) },
        {
          mostWrites: strictPlaces ? 2 : 1,
          prepare: ({ faults, calls, region }) => {
            faults.add({
              service: "ec2",
              action: "AssociateAddress",
              effect: { do: "delay", beforeMs: 400 },
            });
            const timer = setInterval(() => {
              if (calls.every(({ action }) => action !== "DescribeInstances")) return;
              clearInterval(timer);
              region.disassociate(wanted.allocationId);
            }, 5);
          },
        },
      );
      expect(run.status, run.log.join("\n")).toBe(0);
      // A refusal looks as if it were elsewhere on this instance still.
      expect(reassociations(region)).toEqual(strictPlaces ? ["false", "true"] : ["false"]);
      expect(region.holder(wanted.allocationId)?.privateIp).toBe("10.0.0.20");
      expect(run.result).toMatchObject({
        change: strictPlaces ? "taken" : "associated",
        publicIp: wanted.publicIp,
      });
      expect(run.log[0]).toContain(`${others[0].publicIp} was disassociated`);
    },
  );

  test("EIP_HEAL_DISPLACE=no is heeded", async () => {
    const { world, wanted, others, me } = scene();
    world.hold(wanted, me, "10.0.1.20");
    world.hold(others[0], me);
    const { run, region } = await play(world, me, {
      environment: { ...settled(wanted.allocationId), EIP_HEAL_DISPLACE: "no" },
    });
    expect(run.status, run.log.join("\n")).toBe(78);
    expect(run.log[0]).toContain(others[0].publicIp);
    expect(region.holder(wanted.allocationId)?.privateIp).toBe("10.0.1.20");
    expect(region.holder(others[0].allocationId)?.privateIp).toBe("10.0.0.20");
  });

  test("a dry run writes nothing", async () => {
    const { world, wanted, others, me } = scene();
    world.hold(wanted, me, "10.0.1.20");
    world.hold(others[0], me);
    const { run, calls } = await play(world, me, {
      environment: settled(wanted.allocationId),
      flags: ["--dry-run"],
    });
    expect(run.status, run.log.join("\n")).toBe(0);
    expect(calls).not.toContain("AssociateAddress");
  });
});
