/** What the checks of doctor have in common: what they learn for each other, and what several of them look at. */
import {
  type AddressState,
  type DesiredAddress,
  type Previous,
  type Observation,
  nameHolder,
} from "../../model/address.ts";
import type { Target } from "../../model/target.ts";
import type { Instance } from "../../model/instance.ts";
import type { CheckId } from "../checkup.ts";
import { type Decision } from "../../reconcile/ownership.ts";
import { EXIT, Failure } from "../../model/failure.ts";
import { clausesFor, policyOf } from "../../iam/policy.ts";
import * as remedies from "../remedies.ts";
import type { Settings } from "../../config/settings.ts";
import { desiredAddress } from "../../run/desired.ts";
import { Blocked, type Examinations, type Finding, type Need } from "../examination.ts";
import { permitOf, PLAIN } from "../../iam/permit.ts";
import type { DoctorPorts, Endpoint, OpenMetadata, Parts, Signer, TryableEc2 } from "../ports.ts";

/** What the checks learn for each other. */
export interface Values extends Record<CheckId, unknown> {
  settings: { settings: Settings; parts: Parts };
  metadata: OpenMetadata;
  identity: Instance;
  "in-service": undefined;
  interface: Target;
  tags: undefined;
  endpoint: readonly Endpoint[];
  route: Endpoint;
  tls: { endpoint: Endpoint; date?: Date; offsetMs: number };
  clock: undefined;
  role: string | undefined;
  credentials: Signer;
  ec2: TryableEc2;
  "describe-addresses": undefined;
  "describe-instances": undefined;
  /** undefined: nothing is wanted, and that is in order. */
  wanted: DesiredAddress | undefined;
  address: { view: AddressState; choice?: Decision; seen: Observation };
  holder: { view: AddressState; decision: Decision };
  displaced: undefined;
  associate: undefined;
  "launch-hook": undefined;
  optional: undefined;
  unit: undefined;
  recheck: undefined;
  versions: undefined;
}

/** The examinations of these checks. */
export type Checks<Id extends CheckId> = Pick<Examinations<Values>, Id>;

export type Enquiry = ReturnType<typeof enquire>;

/**
 * Prepares what the checks share; whatever is asked for is asked once.
 *
 * @param signal ends all of it
 */
export function enquire(ports: DoctorPorts, signal: AbortSignal) {
  const once = <T>(work: (need: Need<Values>) => Promise<T>) => {
    let result: Promise<T> | undefined;
    return (need: Need<Values>) => (result ??= work(need));
  };
  /** The credentials. */
  const sign = once(async (need) => {
    const metadata = await need("metadata");
    const role = await need("role");
    return metadata.signer(role);
  });
  /** EC2, and its answer to a first signed request. */
  const ask = once(async (need) => {
    const [{ parts }, self, { endpoint }] = await Promise.all([
      need("settings"),
      need("identity"),
      need("tls"),
    ]);
    const ec2 = parts.connect(self, await sign(need), endpoint.dualStack, signal);
    return { ec2, refusal: await refusalOf(ec2.mayDescribeAddresses()) };
  });
  const mayDescribeInstances = once(async (need) =>
    refusalOf((await need("ec2")).mayDescribeInstances()),
  );
  const want = once(async (need) => {
    const { settings } = await need("settings");
    const self = await need("identity");
    const isKnown = (settings.allocationId ?? settings.pool ?? self.tag) !== undefined;
    const ec2 = isKnown ? NO_EC2 : await need("ec2");
    return desiredAddress({ settings, ports, step: "checking" }, self, ec2);
  });
  const observe = once(async (need) => {
    const wanted = await need("wanted");
    if (wanted === undefined) throw new Blocked(["wanted"]);
    const [ec2, here] = await Promise.all([need("ec2"), need("interface")]);
    return ec2.observe(wanted, here);
  });

  /** What is to be done so that another address is wanted. */
  async function nameAnother(need: Need<Values>): Promise<{ say: string; commands: string[] }> {
    const { settings } = await need("settings");
    const self = await need("identity");
    if (settings.allocationId !== undefined) {
      const place = ports.placeOfSetting("EIP_HEAL_ALLOCATION_ID");
      return {
        say: `set EIP_HEAL_ALLOCATION_ID to the allocation id of that address in ${place}`,
        commands: [],
      };
    }
    return {
      say: `put its allocation id into the tag ${settings.tag} of this instance, and of its Auto Scaling group for those to come`,
      commands: [remedies.tagInstance(self, settings.tag)],
    };
  }

  /**
   * What is to be done about a refusal. There is one cure for all that the role lacks: the policy that `eip-heal policy`
   * prints, which fits the next instance as well. For keys there is no command: we do not know their owner.
   */
  async function remedyFor(
    need: Need<Values>,
    { details: { cure = "", beyondRole = false, encoded } }: Failure,
  ): Promise<{ cure: string; commands: readonly string[] }> {
    const { region } = await need("identity");
    const decode = encoded === undefined ? [] : [remedies.decode(region, encoded)];
    const role = await need("role");
    if (beyondRole || role === undefined) return { cure, commands: decode };
    const policy = await policyFor(need);
    const blank = JSON.stringify(policy).includes(remedies.ALLOCATION_ID)
      ? `; ${remedies.ALLOCATION_ID} is that of the address`
      : "";
    return {
      cure: `${cure}; put-role-policy replaces what the role has under the name ${remedies.POLICY_NAME}${blank}`,
      commands: [remedies.grant(role, policy), ...decode],
    };
  }

  /** What `eip-heal policy` prints here; a word in capitals stands for an address that is not known. */
  const policyFor = once(async (need) => {
    const { settings } = await need("settings");
    const [self, metadata] = await Promise.all([need("identity"), need("metadata")]);
    const home = await quietly(metadata.home(self));
    const known = home instanceof Failure ? undefined : home;
    const here = await unlessBlocked(need("interface"));
    const vpc = here && known?.vpcs[here.interfaceId];
    const wanted = await quietly(want(need));
    const addresses =
      wanted === undefined || wanted instanceof Failure
        ? ({ kind: "address", allocationId: remedies.ALLOCATION_ID } as const)
        : wanted;
    const found = { self, ...(known && { home: known }), ...(vpc !== undefined && { vpc }) };
    return policyOf(clausesFor(permitOf(settings, PLAIN, found, addresses)));
  });

  /** The variable that the EC2 endpoint is set by, if it is. */
  function endpointVariable(): string | undefined {
    return ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"].find((name) => ports.variable(name));
  }

  /** How a variable is put right where it is set. */
  const correct = (variable: string): string =>
    `${variable} is set: correct it in ${ports.placeOfSetting(variable)}, or remove it there`;

  return {
    ports,
    signal,
    sign,
    ask,
    mayDescribeInstances,
    want,
    observe,
    nameAnother,
    remedyFor,
    endpointVariable,
    correct,
  };
}

/** For a wanted address that is known without EC2. */
const NO_EC2 = { tags: () => Promise.reject(new Error("EC2 was asked for what is known")) };

/** What somebody else's failure comes to, without failing of it. */
export async function quietly<T>(work: Promise<T>): Promise<T | Failure | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Failure) return error;
    if (error instanceof Blocked) return undefined;
    throw error;
  }
}

export async function unlessBlocked<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Blocked) return undefined;
    throw error;
  }
}

/** The failure of a dry run; undefined if EC2 would do it. */
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
 * What EC2's answer to a dry run says about the role. Whatever else it complains about, it has looked at the rest of the
 * request by then, and that is a yes as well.
 *
 * @param failure of the dry run; undefined if EC2 would do it
 */
export function answerOf(failure: Failure | undefined): "allowed" | "refused" | "not known" {
  if (failure === undefined) return "allowed";
  const { kind, details } = failure;
  if (kind === "unreachable" || kind === "throttled") return "not known";
  return kind === "denied" || details.meaning === EXIT.NOPERM ? "refused" : "allowed";
}

/** It could not be asked whether the role may do it. */
export function notKnown({ details: { request, why } }: Failure): Finding<undefined> {
  return {
    mark: "warning",
    found: `whether it is allowed is not known: ${request === undefined ? "" : `${request}: `}${why}`,
    cure: "look again: eip-heal doctor",
    unseen: true,
    value: undefined,
  };
}

/** Does a policy lack this, or is something else wrong? */
export function isRefusal({ kind, code }: Failure): boolean {
  return (
    kind === "denied" &&
    (code === "UnauthorizedOperation" || code?.startsWith("AccessDenied") === true)
  );
}

export function nameOf(what: DesiredAddress | Previous): string {
  switch (what.kind) {
    case "address":
      return what.allocationId;
    case "pool":
      return `the pool ${what.key}=${what.value}`;
    case "instance":
    case "interface":
      return nameHolder(what);
  }
}
