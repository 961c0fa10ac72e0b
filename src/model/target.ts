/** The network interface and private address that the Elastic IP is to be associated with. */
import { OWN_CODE, EXIT, Failure } from "./failure.ts";
import { isIpv4 } from "./ids.ts";
import type { Instance, NetworkInterface } from "./instance.ts";

/** One private IPv4 address of one interface of this instance. */
export interface Target {
  readonly instanceId: string;
  readonly interfaceId: string;
  readonly privateIp: string;
  /** The instance has no other interface. EC2 is then given the instance id, so that a role written for that suffices. */
  readonly onlyInterface: boolean;
  /** It is the primary private address of its interface, which EC2 uses if none is named. */
  readonly primaryIp: boolean;
  /** The public address, Elastic or not, that instance metadata shows at the target now. */
  readonly publicIp?: string;
}

/** Where an Elastic IP belongs, as it was named. */
export interface Place {
  /** Device index, interface id or MAC; or a private IPv4 address, for the interface that has it. */
  readonly interface: number | string;
  /** A private IPv4 address of that interface; default: the primary one. */
  readonly privateIp?: string | undefined;
  /** It was named after the `@` of an address, not by a setting. */
  readonly afterAt?: boolean;
}

/** `i-1 eni-1 10.0.0.5`. */
export function nameTarget({ instanceId, interfaceId, privateIp }: Target): string {
  return `${instanceId} ${interfaceId} ${privateIp}`;
}

/**
 * Finds the interface and private address of a place.
 *
 * @throws Failure `not-yet` while one of them does not exist, with a list of those that do: an interface or an address
 *   may be attached after the boot
 */
export function resolveTarget(
  self: Instance,
  { interface: wanted, privateIp, afterAt }: Place,
): Target {
  const found = self.interfaces.find((one) => isMeant(one, wanted));
  if (found === undefined && typeof wanted === "string" && isIpv4(wanted)) {
    const accepted = self.interfaces.flatMap((one) => one.privateIps).join(", ");
    throw new Failure("not-yet", {
      why: `no private address ${wanted} on ${self.instanceId}`,
      remedy: `assign it to an interface, or name one of these after the @: ${accepted}`,
      code: OWN_CODE.noSuchPrivateIp,
      permanentStatus: EXIT.CONFIG,
      isLocal: true,
    });
  }
  if (found === undefined) {
    throw new Failure("not-yet", {
      why: `no network interface ${wanted} on ${self.instanceId}`,
      ...(afterAt === true
        ? { remedy: `name one of these after the @: ${self.interfaces.map(describe).join(", ")}` }
        : settingOf("EIP_HEAL_INTERFACE", self.interfaces.map(describe))),
      code: OWN_CODE.noInterface,
      permanentStatus: EXIT.CONFIG,
      isLocal: true,
    });
  }
  const [primary] = found.privateIps;
  if (primary === undefined) {
    throw new Failure("not-yet", {
      why: `no private IPv4 address (yet) on ${found.interfaceId}`,
      remedy: `an Elastic IP needs one: name another interface ${afterAt === true ? "after the @" : "by EIP_HEAL_INTERFACE"}, or assign one to it`,
      code: OWN_CODE.noPrivateIp,
      permanentStatus: EXIT.CONFIG,
      isLocal: true,
    });
  }
  const address = privateIp ?? primary;
  if (!found.privateIps.includes(address)) {
    throw new Failure("not-yet", {
      why: `no private address ${address} on ${found.interfaceId}`,
      ...settingOf("EIP_HEAL_PRIVATE_IP", found.privateIps),
      code: OWN_CODE.noSuchPrivateIp,
      permanentStatus: EXIT.CONFIG,
      isLocal: true,
    });
  }
  const publicIp = found.publicIps[address];
  return {
    instanceId: self.instanceId,
    interfaceId: found.interfaceId,
    privateIp: address,
    onlyInterface: self.interfaces.length === 1,
    primaryIp: address === primary,
    ...(publicIp !== undefined && { publicIp }),
  };
}

/** Whether it is the place that is named; false as long as the instance does not have that. */
export function isAlsoPlaceOf(
  { interfaceId, privateIp }: Target,
  self: Instance,
  place: Place,
): boolean {
  try {
    const other = resolveTarget(self, place);
    return other.interfaceId === interfaceId && other.privateIp === privateIp;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

/** Whether the failure is resolveTarget's: the instance does not have the interface or private address. */
export function isNoSuchTarget({ code }: Failure): boolean {
  return (
    code === OWN_CODE.noInterface ||
    code === OWN_CODE.noPrivateIp ||
    code === OWN_CODE.noSuchPrivateIp
  );
}

/** A device index refers to network card 0: each further card counts its own interfaces from 0 too. */
function isMeant(networkInterface: NetworkInterface, wanted: number | string): boolean {
  return typeof wanted === "number"
    ? networkInterface.cardIndex === 0 && networkInterface.deviceIndex === wanted
    : networkInterface.interfaceId === wanted ||
        networkInterface.mac === wanted ||
        networkInterface.privateIps.includes(wanted);
}

function settingOf(key: string, values: readonly string[]) {
  const accepted = values.join(", ");
  return { remedy: `set ${key} to one of: ${accepted}`, setting: { key, accepted } };
}

/** By index if possible: unlike an id it is the same on the next instance of the group. */
function describe({ interfaceId, mac, deviceIndex, cardIndex }: NetworkInterface): string {
  return cardIndex === 0
    ? `${deviceIndex} (${interfaceId}, ${mac})`
    : `${interfaceId} (index ${deviceIndex} of card ${cardIndex}, ${mac})`;
}
