/** Checks which address is desired, where it is, and what a heal would do about it. */
import {
  fixedAddress,
  type FixedAddress,
  isFree,
  isUsableIn,
  missingMembers,
  nameAddress,
  type Observation,
  type Pool,
  type PreviousHolder,
} from "../../model/address.ts";
import { RECHECK_TIMER } from "../../reconcile/drift.ts";
import { decide, TAKEOVERS, whyNotInService } from "../../reconcile/ownership.ts";
import { UNKNOWN_FOR_MS } from "../../reconcile/bounds.ts";
import { AWS_CODE, OWN_CODE, EXIT, Failure, lacksPermission } from "../../model/failure.ts";
import { borderGroupOf } from "../../model/ids.ts";
import type { Instance } from "../../model/instance.ts";
import { nearest } from "../../model/nearest.ts";
import { statusOf } from "../../reconcile/retry.ts";
import { isOwn, namedTwice, ownIds } from "../../reconcile/state.ts";
import { choose, POOL_TAKEOVERS, whyNoneOf } from "../../reconcile/pool.ts";
import * as remedies from "../remedies.ts";
import { namedBySetting, type Settings } from "../../config/settings.ts";
import { mayNotDisplace } from "../../reconcile/displacement.ts";
import { nearTag } from "../../run/desired.ts";
import { withStep } from "../../run/retrying.ts";
import type { CheckResults } from "../catalog.ts";
import { Blocked, failing, type Finding, ok, type ResultOf } from "../runner.ts";
import {
  type Checks,
  type CheckContext,
  nameGroup,
  nameOf,
  tagCommands,
  untagCommands,
  valueOrFailure,
} from "../context.ts";
import { EVERYWHERE, isLeftAway } from "./units.ts";

/** The checks of the address, by the same rules as in a heal. */
export function checkAddress({
  ports,
  signal,
  findDesired,
  several,
  others,
  observe,
  nameAnother,
  tags,
  groupOf,
}: CheckContext): Checks<"wanted" | "address" | "holder" | "displaced"> {
  return {
    async wanted(resultOf) {
      const { settings } = await resultOf("settings");
      const self = await resultOf("identity");
      try {
        const wanted = await findDesired(resultOf);
        const by =
          namedBySetting(settings)?.key ?? `the tag ${"key" in wanted ? wanted.key : settings.tag}`;
        const all = (await several(resultOf))?.entries.length ?? 1;
        const among = all === 1 ? "" : `, one of ${all}`;
        const found = `${nameOf(wanted)}${among}, by ${by}`;
        const other = wanted.kind !== "pool" && (await ignoredPool(resultOf));
        if (!other) return ok(found, wanted);
        const { key, value } = other;
        const group = await groupOf(resultOf);
        return {
          mark: "warning",
          found: `${found}; the tag ${key}=${value} is there too, and is ignored`,
          remedy: `remove one of the two tags, such as the ignored one, here and from ${nameGroup(group)}`,
          commands: untagCommands(self, group, key),
          value: wanted,
        };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (lacksPermission(error)) throw new Blocked(["describe-instances"]);
        if (statusOf(error) === EXIT.OK) {
          return {
            mark: "warning",
            found: `${error.details.why}, and EIP_HEAL_OPTIONAL is yes`,
            idle: true,
            value: undefined,
          };
        }
        const isUntagged = error.code === OWN_CODE.noTag;
        if (!isUntagged && error.kind !== "misconfigured") return failing(error);
        const group = await groupOf(resultOf);
        const near = isUntagged ? nearTag(settings.tag, await tags(resultOf)) : undefined;
        const meant = near === undefined ? "" : `did you mean its tag ${near.key}? `;
        const value = near !== undefined && fixedAddress(near.value) ? near.value : undefined;
        const tag = { key: settings.tag, value: value ?? remedies.ALLOCATION_ID };
        return failing(
          error,
          isUntagged
            ? `${meant}tag this instance with ${settings.tag}, and ${nameGroup(group)} for those to come; or set EIP_HEAL_ALLOCATION_ID`
            : undefined,
          tagCommands(self, group, tag),
        );
      }
    },

    async address(resultOf) {
      const { settings } = await resultOf("settings");
      const self = await resultOf("identity");
      const target = await resultOf("interface");
      const wanted = await resultOf("wanted");
      if (wanted === undefined) throw new Blocked(["wanted"]);
      const borderGroup = borderGroupOf(self.zone);
      let observation: Observation;
      try {
        observation = await observe(resultOf);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (lacksPermission(error)) {
          throw new Blocked([
            wanted.kind === "address" ? "describe-instances" : "describe-addresses",
          ]);
        }
        if (error.code === OWN_CODE.noTaggedAddress && wanted.kind === "tagged") {
          return noTaggedAddress(resultOf, error, wanted);
        }
        if (error.code !== AWS_CODE.unknownAllocation) throw error;
        const { say, commands } = await nameAnother(resultOf);
        const { meant } = error.details;
        return failing(
          error,
          `${meant === undefined ? "" : `did you mean ${meant}? `}it was released, or is in another region or account: choose one that is here, then ${say}`,
          [remedies.listAddresses(self.region), ...commands],
        );
      }

      if (wanted.kind === "pool") {
        const under = (poolTakeover: Settings["poolTakeover"]) =>
          choose(target, self.zone, observation.addresses, poolTakeover, [], () => UNKNOWN_FOR_MS);
        const choice = under(settings.poolTakeover);
        if (choice.address === undefined) {
          if ("key" in wanted && observation.addresses.length === 0) {
            return noSuchPool(resultOf, wanted);
          }
          const why = whyNoneOf(wanted, observation.addresses, choice.why);
          if (observation.addresses.length === 0) {
            return {
              mark: "failed",
              found: `${nameOf(wanted)}: ${why}`,
              remedy: `name addresses that are here in ${ports.placeOfSetting("EIP_HEAL_POOL")}`,
              commands: [remedies.listAddresses(self.region)],
              status: EXIT.TEMPFAIL,
            };
          }
          const policy = POOL_TAKEOVERS.find((one) => under(one).address !== undefined);
          const place = ports.placeOfSetting("EIP_HEAL_POOL_TAKEOVER");
          return {
            mark: "failed",
            found: `${nameOf(wanted)}: ${why}`,
            remedy:
              policy === undefined
                ? `let another instance go, or ${addAnother(wanted)}`
                : `let another instance go, set EIP_HEAL_POOL_TAKEOVER=${policy} in ${place}, or ${addAnother(wanted)}`,
            commands: addToPool(self, wanted),
            status: EXIT.TEMPFAIL,
          };
        }
        const { address, decision } = choice;
        const value = { address, choice: decision, observation };
        const found = `${nameAddress(address.allocationId, address.publicIp)}, one of ${observation.addresses.length} in the pool`;
        const free = observation.addresses.filter(
          (one) => isFree(one) && isUsableIn(one, self.zone),
        );
        const spare = free.length - (decision.do === "associate" ? 1 : 0);
        const missing = missingMembers(wanted, observation.addresses);
        if (missing.length > 0) {
          return {
            mark: "warning",
            found: `${found}; not in this region and account: ${missing.join(", ")}`,
            remedy: `remove them from EIP_HEAL_POOL in ${ports.placeOfSetting("EIP_HEAL_POOL")}, or name others`,
            commands: [remedies.listAddresses(self.region)],
            value,
          };
        }
        const { lifecycleHook, poolTakeover } = settings;
        if (lifecycleHook === undefined || poolTakeover !== "no" || spare > 0) {
          return ok(found, value);
        }
        const place = ports.placeOfSetting("EIP_HEAL_POOL_TAKEOVER");
        return {
          mark: "warning",
          found: `${found}, with none to spare for ${self.zone}: the next instance waits under ${lifecycleHook} until an old one lets its address go, and is abandoned if Auto Scaling keeps those until the new one is in service`,
          remedy: `have an address more in the pool than instances in the group, or set EIP_HEAL_POOL_TAKEOVER=oldest in ${place}`,
          value,
        };
      }

      const [address] = observation.addresses;
      if (address === undefined) throw new Error("an observation of an address without it");
      const twice = namedTwice({ others: await others(resultOf) }, address);
      if (twice !== undefined) throw twice;
      // If even a free address would be refused, it cannot be used in this zone at all.
      const free = decide(
        target,
        self.zone,
        { ...address, holder: { kind: "nobody" } },
        settings.takeover,
        0,
      );
      if (free.do === "refuse") {
        const { say, commands } = await nameAnother(resultOf);
        return {
          mark: "failed",
          found: free.because,
          remedy: `${free.remedy}: ${CHOOSE}, then ${say}`,
          commands: [remedies.listFreeAddresses(self.region, borderGroup), ...commands],
          status: EXIT.CONFIG,
        };
      }
      if (!observation.direct && address.holder.kind === "nobody") {
        return {
          mark: "warning",
          found: `${address.allocationId}: no instance holds it; whether it exists, in ${borderGroup}, and whether a NAT gateway or a load balancer holds it only ec2:DescribeAddresses tells`,
          remedy: "compare with what aws ec2 describe-addresses shows, or let the role ask",
          commands: [remedies.listAddresses(self.region)],
          unseen: true,
          value: { address, observation },
        };
      }
      const group = address.borderGroup === undefined ? "" : `, in ${address.borderGroup}`;
      const found = `${nameAddress(address.allocationId, address.publicIp)}${group}`;
      const value = { address, observation };
      const { alike } = observation;
      if (alike === undefined) return ok(found, value);
      return {
        mark: "warning",
        found: `${found}, kept because it is on this instance; ${alike.join(", ")} ${alike.length === 1 ? "carries" : "carry"} the same tag`,
        remedy: "leave the tag on the one that is meant: no other instance could tell which it is",
        value,
      };
    },

    async holder(resultOf) {
      const { settings } = await resultOf("settings");
      const self = await resultOf("identity");
      const target = await resultOf("interface");
      const { address, choice, observation } = await resultOf("address");
      const rule = (takeover: Settings["takeover"]) =>
        decide(target, self.zone, address, takeover, UNKNOWN_FOR_MS);
      const decision = choice ?? rule(settings.takeover);
      const value = { address, decision };
      const notHere = async (found: string): Promise<Finding<typeof value>> => {
        const isLeft =
          whyNotInService(self) === undefined && (await isLeftAway(ports.machine, signal));
        return isLeft ? leftAway(found, value) : ok(found, value);
      };
      switch (decision.do) {
        case "settled":
          return ok("this instance, in the right place: a heal would change nothing", value);
        case "probe":
          return ok(
            `${nameOf(decision.holder)}, this one: a heal would make sure of the place`,
            value,
          );
        case "associate":
          return notHere(
            `${observation.direct ? "nobody" : "no instance"}: a heal would associate it`,
          );
        case "take":
          return notHere(
            `${nameOf(decision.from)}: a heal would take it, because ${decision.because}`,
          );
        case "refuse": {
          const { say, commands } = await nameAnother(resultOf);
          return {
            mark: "failed",
            found: decision.because,
            remedy: `${decision.remedy}: ${CHOOSE}, then ${say}`,
            commands: [
              remedies.listFreeAddresses(self.region, borderGroupOf(self.zone)),
              ...commands,
            ],
            status: EXIT.CONFIG,
          };
        }
        case "wait":
        case "yield": {
          const holder = decision.do === "wait" ? decision.from : decision.to;
          const policy = TAKEOVERS.find((one) => rule(one).do === "take");
          const set = `set EIP_HEAL_TAKEOVER=${policy} in ${ports.placeOfSetting("EIP_HEAL_TAKEOVER")}`;
          return {
            mark: "failed",
            found:
              decision.do === "yield" ? decision.because : `${nameOf(holder)}: ${decision.because}`,
            remedy:
              policy === undefined
                ? "look again in a minute"
                : decision.do === "yield"
                  ? `nothing, if ${idOf(holder)} is to have it; to take it here now: sudo eip-heal --takeover always; if two groups want this address, give each its own; only where instances may take it from each other ${set}`
                  : `let ${idOf(holder)} go, or ${set}`,
            status: decision.do === "yield" ? EXIT.UNAVAILABLE : EXIT.TEMPFAIL,
          };
        }
      }
    },

    async displaced(resultOf) {
      const { settings } = await resultOf("settings");
      const target = await resultOf("interface");
      const ec2 = await resultOf("ec2");
      const { address, decision } = await resultOf("holder");
      const { publicIp } = target;
      if (publicIp === undefined || publicIp === address.publicIp || decision.do === "settled") {
        return ok("nothing", undefined);
      }
      const context = { ports, step: "checking" };
      const own = { others: await others(resultOf) };
      const elasticIp = await withStep(context, `looking at ${publicIp}`, () =>
        ec2.elasticIpAt({ ...target, publicIp }, ownIds(own, address.allocationId)),
      );
      if (elasticIp === undefined) {
        return ok(`${publicIp} (auto-assigned; EC2 reclaims it)`, undefined);
      }
      if (isOwn(own, elasticIp)) {
        const name = nameAddress(elasticIp.allocationId, elasticIp.publicIp);
        return ok(`${name}, which this instance should have too, in another place`, undefined);
      }
      if (!settings.displace) {
        const place = ports.placeOfSetting("EIP_HEAL_DISPLACE");
        return failing(
          mayNotDisplace(target, elasticIp),
          `set EIP_HEAL_DISPLACE=yes in ${place}, or give another place by EIP_HEAL_INTERFACE or EIP_HEAL_PRIVATE_IP`,
        );
      }
      return {
        mark: "warning",
        found: `another Elastic IP, ${nameAddress(elasticIp.allocationId, elasticIp.publicIp)}, is on ${target.interfaceId} ${target.privateIp}; a heal would disassociate it; it stays allocated`,
        remedy: "nothing, if that is meant; else set EIP_HEAL_DISPLACE=no",
        value: undefined,
      };
    },
  };

  /** The pool tag of this instance if it is ignored because another tag names an address. */
  async function ignoredPool(resultOf: ResultOf<CheckResults>): Promise<Instance["tag"]> {
    const { settings } = await resultOf("settings");
    const [self, session] = await Promise.all([resultOf("identity"), resultOf("metadata")]);
    if (namedBySetting(settings) !== undefined) return undefined;
    if (self.tag !== undefined) return (await session.instance([settings.poolTag])).tag;
    const value = (await tags(resultOf))[settings.poolTag];
    return value ? { key: settings.poolTag, value } : undefined;
  }

  /** The finding if no address carries the pool's tag. An existing pool is suggested before another address. */
  async function noSuchPool(
    resultOf: ResultOf<CheckResults>,
    pool: TaggedPool,
  ): Promise<Finding<never>> {
    const { settings } = await resultOf("settings");
    const self = await resultOf("identity");
    const ec2 = await resultOf("ec2");
    const { key, value } = pool;
    const shown = await valueOrFailure(ec2.pools(key));
    const pools = shown === undefined || shown instanceof Failure ? {} : shown;
    const meant = nearest(value, Object.keys(pools));
    const found = `no address carries the tag ${key}=${value}${listOf(key, pools)}`;
    const status = EXIT.TEMPFAIL;
    if (meant === undefined) {
      const other = Object.keys(pools).length === 0 ? "" : "name one of these pools, or ";
      const commands = addToPool(self, pool);
      return { mark: "failed", found, remedy: `${other}${intoPool}`, commands, status };
    }
    if (meant.trim() === value) {
      const remedy = `take the blank away from the tag ${key}=${JSON.stringify(meant)} of the address: tag it ${value}`;
      const commands = tagAnAddress(self, pool);
      return { mark: "failed", found, remedy, commands, status };
    }
    if (settings.pool !== undefined) {
      const place = ports.placeOfSetting("EIP_HEAL_POOL");
      const remedy = `did you mean ${meant}? set EIP_HEAL_POOL=${key}=${meant} in ${place}`;
      return { mark: "failed", found, remedy, status };
    }
    const group = await groupOf(resultOf);
    const remedy = `did you mean ${meant}? correct the tag ${key} of this instance, and of ${nameGroup(group)} for those to come`;
    const commands = tagCommands(self, group, { key, value: meant });
    return { mark: "failed", found, remedy, commands, status };
  }

  /** The finding if no address carries the tag that names one. */
  async function noTaggedAddress(
    resultOf: ResultOf<CheckResults>,
    failure: Failure,
    { key, value }: FixedAddress & { kind: "tagged" },
  ): Promise<Finding<never>> {
    const self = await resultOf("identity");
    const ec2 = await resultOf("ec2");
    const shown = await valueOrFailure(ec2.pools(key));
    const values = shown === undefined || shown instanceof Failure ? [] : Object.keys(shown);
    const near = nearest(value, values);
    const place = ports.placeOfSetting("EIP_HEAL_ADDRESS_TAG");
    const meant =
      // Blanks around a setting are not part of it.
      near === undefined || near.trim() === value
        ? ""
        : `did you mean ${near}? set EIP_HEAL_ADDRESS_TAG=${key}=${near} in ${place}, or `;
    return failing(
      failure,
      `${meant}tag the address with ${key}=${value}`,
      tagAnAddress(self, { key, value }),
    );
  }
}

/** The finding if the address is not here, and nothing brings it before the next boot. */
function leftAway<T>(found: string, value: T): Finding<T> {
  return {
    mark: "warning",
    found: `${found}, and no unit starts one before the next boot`,
    remedy: `bring it here once: sudo eip-heal; or within a minute, and whenever it is moved away, by the recheck timer: enable it ${EVERYWHERE}`,
    commands: [`systemctl enable --now ${RECHECK_TIMER}`],
    value,
  };
}

/** A pool that its addresses' tag makes. */
type TaggedPool = Extract<Pool, { readonly key: string }>;

/** Most pools that a message names. */
const NAMED = 10;

function listOf(key: string, pools: Readonly<Record<string, number>>): string {
  const names = Object.entries(pools).map(
    ([value, count]) => `${key}=${value} (${count} ${count === 1 ? "address" : "addresses"})`,
  );
  if (names.length === 0) return `, and none has the key ${key}`;
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : "";
  return `; there are ${names.slice(0, NAMED).join(", ")}${more}`;
}

/** No command allocates an address: it costs money, and others may have to add it to their allow-lists. */
const CHOOSE =
  "choose an address that nobody holds, or allocate one, which is billed (aws ec2 allocate-address)";

const intoPool = `tag another address for the pool: ${CHOOSE}`;

/** How the pool gets another address. */
function addAnother(pool: Pool): string {
  return "key" in pool ? intoPool : `add another address to the list in EIP_HEAL_POOL: ${CHOOSE}`;
}

/** The commands that add an address to the pool: list the free ones, and tag one of them. */
function addToPool(self: Instance, pool: Pool): string[] {
  return [
    remedies.listFreeAddresses(self.region, borderGroupOf(self.zone)),
    ...("key" in pool ? [remedies.tagResource(self.region, remedies.ALLOCATION_ID, pool)] : []),
  ];
}

/** The commands that give one of the addresses that there are a tag: list them, and tag one. */
function tagAnAddress({ region }: Instance, { key, value }: Omit<TaggedPool, "kind">): string[] {
  return [
    remedies.listAddresses(region),
    remedies.tagResource(region, remedies.ALLOCATION_ID, { key, value }),
  ];
}

function idOf(holder: PreviousHolder): string {
  return holder.kind === "instance" ? holder.instanceId : holder.interfaceId;
}
