/** A machine on which the package lives, from its first installation to its last removal, and what is asked after each step. */
import { expect } from "vitest";
import { aWorld } from "../../sim/world.ts";
import { Cloud, CONF, UNIT } from "../support/machine/cloud.ts";
import type { Image } from "../support/machine/image.ts";
import type { Machine } from "../support/machine/machine.ts";
import { CONFIRM, RECHECK } from "../support/machine/rounds.ts";
import type { PackageManager } from "./managers.ts";
import type { Repository } from "./repository.ts";
import { everything, RESULTS, type State, stateOf, WANTED } from "./state.ts";

export class Life {
  readonly cloud: Cloud;
  readonly machine: Machine;
  readonly manager: PackageManager;
  readonly repository: Repository;
  /** The address that the machine wants by the tag of its instance. */
  readonly allocationId: string;
  readonly instanceId: string;
  /** What was there before anything was installed. */
  readonly before: readonly string[];

  private constructor(
    at: Pick<Life, "cloud" | "machine" | "manager" | "repository">,
    allocationId: string,
    instanceId: string,
    before: readonly string[],
  ) {
    ({
      cloud: this.cloud,
      machine: this.machine,
      manager: this.manager,
      repository: this.repository,
    } = at);
    this.allocationId = allocationId;
    this.instanceId = instanceId;
    this.before = before;
  }

  /** Boots a machine of that image, without the package. */
  static async begin(manager: PackageManager, image: Image, repository: Repository): Promise<Life> {
    const world = aWorld();
    const { allocationId } = world.address();
    const tags = { "allocation-id": allocationId };
    const self = world.instance({ tags, metadataTags: true, autoPublicIp: true });
    const cloud = await Cloud.start(world);
    try {
      const machine = await cloud.machine(self, image);
      await machine.start();
      await machine.waitRunning();
      const at = { cloud, machine, manager, repository };
      return new Life(at, allocationId, self.instanceId, await everything(machine));
    } catch (error) {
      await cloud.close();
      throw error;
    }
  }

  state(): Promise<State> {
    return stateOf(this.machine, this.cloud, this.manager);
  }

  conf(): Promise<string> {
    return this.machine.must(["cat", CONF]);
  }

  /** Is the address on this machine? */
  isHere(): boolean {
    return this.cloud.region.holder(this.allocationId)?.instanceId === this.instanceId;
  }

  /** What is left beside the package's own files while the unit is enabled, and these. */
  left(...more: string[]): string[] {
    return [WANTED, ...this.manager.keeps, ...more].toSorted();
  }

  /** The unit is enabled, was started before, succeeded, and stands as it did then. */
  settled(version: string, associations: number): State {
    const left = this.left(...RESULTS);
    return { version, unit: "enabled", active: "active", associations, left };
  }

  /** The package is installed, and nothing has been started since. */
  fresh(version: string, associations: number, ...more: string[]): State {
    const left = this.left(...more);
    return { version, unit: "enabled", active: "inactive", associations, left };
  }

  /** The package is not there, and nothing of it is. */
  none(associations: number): State {
    return { version: undefined, unit: "not-found", active: "inactive", associations, left: [] };
  }

  async reboot(): Promise<void> {
    await this.machine.reboot();
    expect(await this.machine.waitRunning()).toBe("running");
  }

  /** What is done neither starts, stops nor changes the unit, starts no timer and asks nobody. */
  async untouched(doing: () => Promise<void>): Promise<void> {
    const { machine } = this;
    const { region } = this.cloud;
    const ask = () => machine.show(UNIT, "InvocationID", "ActiveState", "UnitFileState");
    // The recheck that follows the last heal asks too, should it be time for it. 0.1.0 has no timer for it.
    await machine.exec(["systemctl", "stop", CONFIRM, RECHECK]);
    const unit = await ask();
    const asked = [region.calls.length, region.imdsRequests.length];
    await doing();
    expect(await ask()).toEqual(unit);
    expect(await machine.show(CONFIRM, "ActiveState")).toEqual(["inactive"]);
    expect([region.calls.length, region.imdsRequests.length]).toEqual(asked);
  }
}
