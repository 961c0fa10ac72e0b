/** What several checks of doctor share: data that is fetched once, and remedies. */
import { namedBySetting } from "../config/settings.ts";
import {
  type DesiredAddress,
  type PreviousHolder,
  nameDesired,
  nameHolder,
} from "../model/address.ts";
import type { CheckId, CheckResults } from "./catalog.ts";
import { EXIT, Failure } from "../model/failure.ts";
import { statementsFor, policyOf } from "../iam/policy.ts";
import { GROUP_TAG, type Instance } from "../model/instance.ts";
import * as remedies from "./remedies.ts";
import { desiredAddress, settingsFor, severalKnown } from "../run/desired.ts";
import { nameEntry } from "../model/several.ts";
import { Blocked, type CheckFunctions, type Finding, type ResultOf } from "./runner.ts";
import { policyInput, DEFAULT_SCOPE } from "../iam/policy-input.ts";
import type { DoctorPorts } from "./ports.ts";

/** The functions of these checks. */
export type Checks<Id extends CheckId> = Pick<CheckFunctions<CheckResults>, Id>;

export type CheckContext = ReturnType<typeof checkContext>;

/**
 * Prepares what the checks share. Each piece of data is fetched on first use, and only once.
 *
 * @param signal aborts all requests
 * @param entry which of several addresses the checks are about, counted from 0
 */
export function checkContext(ports: DoctorPorts, signal: AbortSignal, entry = 0) {
  const once = <T>(work: (resultOf: ResultOf<CheckResults>) => Promise<T>) => {
    let result: Promise<T> | undefined;
    return (resultOf: ResultOf<CheckResults>) => (result ??= work(resultOf));
  };
  /** The credentials. */
  const sign = once(async (resultOf) => {
    const session = await resultOf("metadata");
    await resultOf("role");
    return session.credentials();
  });
  /** EC2, and its answer to a first signed request. */
  const firstCall = once(async (resultOf) => {
    const [session, self, { endpoint }] = await Promise.all([
      resultOf("metadata"),
      resultOf("identity"),
      resultOf("tls"),
    ]);
    await sign(resultOf);
    const ec2 = await session.ec2(self, endpoint.dualStack);
    return { ec2, refusal: await refusalOf(ec2.mayDescribeAddresses()) };
  });
  const mayDescribeInstances = once(async (resultOf) =>
    refusalOf((await resultOf("ec2")).mayDescribeInstances()),
  );
  /** The several addresses that a setting or a tag names; undefined if it is one. */
  const several = once(async (resultOf) => {
    const { settings } = await resultOf("settings");
    const self = await resultOf("identity");
    try {
      return severalKnown(settings, self);
    } catch (error) {
      // The check of the tag says what is wrong with it.
      if (error instanceof Failure) return undefined;
      throw error;
    }
  });
  /** The settings for the address that the checks are about. */
  const settingsHere = once(async (resultOf) => {
    const { settings } = await resultOf("settings");
    const one = (await several(resultOf))?.entries[entry];
    return one === undefined ? settings : settingsFor(settings, one);
  });
  /** The further addresses that this instance should have. */
  const others = once(async (resultOf) =>
    ((await several(resultOf))?.entries ?? [])
      .filter((_, index) => index !== entry)
      .map((one) => ({ name: nameEntry(one), address: one.address })),
  );
  const findDesired = once(async (resultOf) => {
    const settings = await settingsHere(resultOf);
    const self = await resultOf("identity");
    const isKnown = namedBySetting(settings) !== undefined || self.tag !== undefined;
    const ec2 = isKnown ? NO_EC2 : await resultOf("ec2");
    const wanted = await desiredAddress({ settings, ports, step: "checking" }, self, ec2);
    if (wanted.kind !== "several") return wanted;
    throw new Failure("misconfigured", {
      why: `the tag ${settings.tag} names several addresses, and instance metadata does not show it to doctor`,
      remedy: `let instance metadata show the tags (InstanceMetadataTags=enabled), or check each by itself: eip-heal doctor --allocation-id ${wanted.entries.map(nameEntry)[0]}`,
    });
  });
  const observe = once(async (resultOf) => {
    const wanted = await resultOf("wanted");
    if (wanted === undefined) throw new Blocked(["wanted"]);
    const [ec2, target] = await Promise.all([resultOf("ec2"), resultOf("interface")]);
    return ec2.observe(wanted, target);
  });

  /** How to name another address as the desired one. */
  async function nameAnother(
    resultOf: ResultOf<CheckResults>,
  ): Promise<{ say: string; commands: string[] }> {
    const { settings } = await resultOf("settings");
    const self = await resultOf("identity");
    const named = namedBySetting(settings);
    if (named?.desired.kind === "tagged") {
      const { key, value } = named.desired;
      return {
        say: `move the tag ${key}=${value} to that address`,
        commands: [remedies.tagResource(self.region, remedies.ALLOCATION_ID, named.desired)],
      };
    }
    if (settings.allocationId !== undefined) {
      const place = ports.placeOfSetting("EIP_HEAL_ALLOCATION_ID");
      return {
        say: `set EIP_HEAL_ALLOCATION_ID to the allocation id of that address in ${place}`,
        commands: [],
      };
    }
    const group = await groupOf(resultOf);
    return {
      say: `put its allocation id into the tag ${settings.tag} of this instance, and of ${nameGroup(group)} for those to come`,
      commands: tagCommands(self, group, { key: settings.tag, value: remedies.ALLOCATION_ID }),
    };
  }

  /** The tags of this instance according to EC2, in case instance metadata does not show them. */
  const tags = once(async (resultOf) => {
    const ec2 = await unlessBlocked(resultOf("ec2"));
    const shown = ec2 && (await valueOrFailure(ec2.tags()));
    return shown === undefined || shown instanceof Failure ? {} : shown;
  });

  /** The Auto Scaling group of this instance, if known. */
  const groupOf = once(async (resultOf): Promise<string | undefined> => {
    const session = await resultOf("metadata");
    const shown = await valueOrFailure(session.group());
    return typeof shown === "string" ? shown : (await tags(resultOf))[GROUP_TAG];
  });

  /**
   * The remedy for a denied request. For every permission that the role lacks it is the same: the policy that `eip-heal
   * policy` prints, which suits the next instance too. For access keys there is no command, because their owner is unknown.
   */
  async function remedyFor(
    resultOf: ResultOf<CheckResults>,
    { details: { remedy = "", notFixableInRole = false, encoded } }: Failure,
  ): Promise<{ remedy: string; commands: readonly string[] }> {
    const { region } = await resultOf("identity");
    const decode = encoded === undefined ? [] : [remedies.decode(region, encoded)];
    const role = await resultOf("role");
    if (notFixableInRole || role === undefined) return { remedy, commands: decode };
    const { policy, isTemplate } = await policyFor(resultOf);
    const blank = isTemplate ? `; ${remedies.ALLOCATION_ID} is that of the address` : "";
    return {
      remedy: `${remedy}; put-role-policy replaces what the role has under the name ${remedies.POLICY_NAME}${blank}`,
      commands: [remedies.grant(role, policy), ...decode],
    };
  }

  /** What `eip-heal policy` prints here, with a placeholder if the address is not known (`isTemplate`). */
  const policyFor = once(async (resultOf) => {
    const { settings } = await resultOf("settings");
    const [self, session] = await Promise.all([resultOf("identity"), resultOf("metadata")]);
    const instanceContext = await valueOrFailure(session.instanceContext(self));
    const known = instanceContext instanceof Failure ? undefined : instanceContext;
    const target = await unlessBlocked(resultOf("interface"));
    const vpc = target && known?.vpcs[target.interfaceId];
    const wanted = await valueOrFailure(findDesired(resultOf));
    const all = await valueOrFailure(several(resultOf));
    const one = wanted instanceof Failure ? undefined : wanted;
    const desired = all instanceof Failure || all === undefined ? one : all;
    const addresses =
      desired ?? ({ kind: "address", allocationId: remedies.ALLOCATION_ID } as const);
    const found = {
      self,
      ...(known && { instanceContext: known }),
      ...(vpc !== undefined && { vpc }),
    };
    const input = policyInput(settings, DEFAULT_SCOPE, found, addresses);
    return { policy: policyOf(statementsFor(input)), isTemplate: desired === undefined };
  });

  /** The variable that sets the EC2 endpoint, if one does. */
  function endpointVariable(): string | undefined {
    return ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"].find((name) => ports.variable(name));
  }

  /** The remedy for a variable with a wrong value. */
  const correct = (variable: string): string =>
    `${variable} is set: correct it in ${ports.placeOfSetting(variable)}, or remove it there`;

  return {
    ports,
    signal,
    sign,
    firstCall,
    mayDescribeInstances,
    findDesired,
    several,
    others,
    settingsHere,
    observe,
    nameAnother,
    tags,
    groupOf,
    remedyFor,
    endpointVariable,
    correct,
  };
}

/** The group in words, with its name if known. */
export function nameGroup(group: string | undefined): string {
  return group === undefined ? "its Auto Scaling group" : `its Auto Scaling group ${group}`;
}

/** The commands that tag the instance, and its group for future instances: a group's tag does not reach running ones. */
export function tagCommands(
  { instanceId, region }: Instance,
  group: string | undefined,
  tag: { readonly key: string; readonly value: string },
): string[] {
  return [
    remedies.tagResource(region, instanceId, tag),
    ...(group === undefined ? [] : [remedies.tagGroup(region, group, tag)]),
  ];
}

/** The commands that remove a tag from the instance and from its group. */
export function untagCommands(
  { instanceId, region }: Instance,
  group: string | undefined,
  key: string,
): string[] {
  return [
    remedies.untagResource(region, instanceId, key),
    ...(group === undefined ? [] : [remedies.untagGroup(region, group, key)]),
  ];
}

/** For a desired address that is known without EC2. */
const NO_EC2 = { tags: () => Promise.reject(new Error("EC2 was asked for what is known")) };

/** Awaits another check; returns its Failure, or undefined if it was skipped, instead of throwing. */
export async function valueOrFailure<T>(work: Promise<T>): Promise<T | Failure | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Failure) return error;
    if (error instanceof Blocked) return undefined;
    throw error;
  }
}

/** Awaits another check; undefined if it failed or was skipped. */
export async function unlessBlocked<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Blocked) return undefined;
    throw error;
  }
}

/** The failure of a dry run; undefined if it is allowed. */
export async function refusalOf(work: Promise<void>): Promise<Failure | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

/**
 * What EC2's answer to a dry run says about the role. EC2 checks the permission first, so any other complaint about the
 * request means that it is allowed.
 *
 * @param failure of the dry run; undefined if it is allowed
 */
export function permissionOf(failure: Failure | undefined): "allowed" | "refused" | "not known" {
  if (failure === undefined) return "allowed";
  const { kind, details } = failure;
  if (kind === "unreachable" || kind === "throttled") return "not known";
  return kind === "denied" || details.permanentStatus === EXIT.NOPERM ? "refused" : "allowed";
}

/** The finding if EC2 could not be asked whether the role may do it. */
export function notKnown({ details: { request, why } }: Failure): Finding<undefined> {
  return {
    mark: "warning",
    found: `whether it is allowed is not known: ${request === undefined ? "" : `${request}: `}${why}`,
    remedy: "look again: eip-heal doctor",
    unseen: true,
    value: undefined,
  };
}

export function nameOf(what: DesiredAddress | PreviousHolder): string {
  switch (what.kind) {
    case "instance":
    case "interface":
      return nameHolder(what);
    default:
      return nameDesired(what);
  }
}
