/** The interfaces through which a run reaches the outside world. aws/ and system/ implement them; so do the tests. */
import type { Agent } from "node:http";
import type { DesiredAddress, ElasticIp, Observation } from "../model/address.ts";
import type { Target } from "../model/target.ts";
import type { Question } from "../reconcile/state.ts";
import type { Instance, InstanceContext } from "../model/instance.ts";
import type { HookResult } from "../model/outcome.ts";

/** EC2 over one connection. All methods throw Failures. */
export interface Ec2 {
  /** The tags of this instance. */
  tags(): Promise<Readonly<Record<string, string>>>;
  /**
   * Looks up the desired address, or all addresses of the pool, and their holders.
   *
   * @param question what to find out about holders; default: everything
   */
  observe(desired: DesiredAddress, target: Target, question?: Question): Promise<Observation>;
  /**
   * The Elastic IP at the target now, if there is one.
   *
   * @param own allocation ids of the addresses that this instance should have
   */
  elasticIpAt(
    target: Target & { publicIp: string },
    own?: readonly string[],
  ): Promise<ElasticIp | undefined>;
  /** AssociateAddress. `reassociate` takes the address from its holder; without it a holder is a Failure `held`. */
  associate(allocationId: string, target: Target, reassociate: boolean): Promise<void>;
  /** DisassociateAddress: ends exactly this association. */
  release(associationId: string): Promise<void>;
  close(): void;
}

/** Auto Scaling over one connection, for this instance. All methods throw Failures. */
export interface AutoScaling {
  /** The group of this instance and its lifecycle state there, if shown; undefined if it is in no group. */
  member(): Promise<{ group: string; lifecycleState?: string } | undefined>;
  /** Completes this instance's pending lifecycle action of the hook; false if there is none. */
  complete(group: string, hook: string, result: HookResult): Promise<boolean>;
  /** Restarts the timeout of that lifecycle action; false if there is none. */
  heartbeat(group: string, hook: string): Promise<boolean>;
  close(): void;
}

/** EC2 with permission checks (`DryRun`). Any answer other than "allowed" is thrown as a Failure. */
export interface DryRunEc2 extends Ec2 {
  mayDescribeAddresses(): Promise<void>;
  mayDescribeInstances(): Promise<void>;
  mayDescribeInterfaces(): Promise<void>;
  /** The pools of this account: how many addresses carry each value of this tag. */
  pools(key: string): Promise<Readonly<Record<string, number>>>;
  /** Sends exactly the request that `associate` would send. */
  mayAssociate(allocationId: string, target: Target, reassociate: boolean): Promise<void>;
}

/** Describes the credentials in use. The keys themselves stay in aws/. */
export interface Signer {
  /** For messages: `the role web`, `the environment`. */
  readonly source: string;
  readonly expiresAt?: Date;
}

export interface Endpoint {
  readonly url: URL;
  readonly dualStack: boolean;
  /** What requests to it go through, and the variable that says so. */
  readonly proxy?: { readonly url: URL; readonly variable: string };
  /** What makes connections to it. */
  readonly agent: Agent;
}

/** What one attempt of a run needs. All methods throw Failures. */
export interface RunSession {
  /**
   * Reads this instance from its metadata, and the first of these tags that it has.
   *
   * @param also `group`: read its Auto Scaling group too if no lifecycle state is shown; `ipv6`: read whether it has IPv6,
   *   which is done anyway once a connection of an earlier session has failed; `ignored`: read the next of these tags, too
   */
  instance(
    tags: readonly string[],
    also?: { readonly group?: boolean; readonly ipv6?: boolean; readonly ignored?: boolean },
  ): Promise<Instance>;
  /** The pending interruption of this spot instance, if any: `terminate`, `stop` or `hibernate`. */
  spotAction(): Promise<string | undefined>;
  /** Fetches credentials. Only the first call in a session makes requests. */
  credentials(): Promise<Signer>;
  /** Opens a connection to EC2. */
  ec2(self: Instance): Promise<Ec2>;
  /** Opens a connection to Auto Scaling. */
  autoScaling(self: Instance): Promise<AutoScaling>;
}

/** What `doctor` and `policy` need in addition. */
export interface Session extends RunSession {
  /** The region of this instance, even if AWS_REGION names another. */
  ownRegion(): Promise<string>;
  /** Whether instance metadata shows tags. */
  hasTags(): Promise<boolean>;
  /** The Auto Scaling group, if instance metadata shows tags. */
  group(): Promise<string | undefined>;
  /** Account, partition and VPCs, for the ARNs of a policy. */
  instanceContext(self: Instance): Promise<InstanceContext>;
  /** The name of the instance role. */
  role(): Promise<string | undefined>;
  /** The endpoints of EC2, in the order in which successive sessions try them. */
  endpoints(self: Instance): Promise<readonly Endpoint[]>;
  ec2(self: Instance, dualStack?: boolean): Promise<DryRunEc2>;
  /** @param signal aborts its requests, instead of the session's signal */
  autoScaling(self: Instance, signal?: AbortSignal): Promise<AutoScaling>;
}

/** AWS as configured by the standard AWS variables. */
export interface Aws {
  readonly metadataUrl: URL;
  /** Whether the environment contains access keys. */
  readonly hasKeys: boolean;
  /** Opens a session by fetching an instance metadata token. `signal` aborts its requests. @throws Failure */
  open(signal: AbortSignal): Promise<Session>;
  /** Asks a URL that answers with the public address of whoever asks, over a new connection. @throws Failure `unreachable` */
  publicIpBy(url: URL, signal: AbortSignal): Promise<ShownIp>;
}

/** The last write of this boot. */
export interface SentWrite {
  /** When it was sent, in milliseconds of the run's clock. */
  readonly at: number;
  /** EC2 has accepted this or an earlier write, or shown its effect. */
  readonly wroteThisBoot: boolean;
}

/** The record of the last write, shared by all runs on this boot; undefined: none was sent. */
export interface LastWrite {
  readonly read: () => SentWrite | undefined;
  readonly record: (write: SentWrite | undefined) => void;
}

/** Counts how often an address is moved here. */
export interface Moves {
  /** Called before the request. Returns why the address is to be left alone instead, if it is. */
  readonly begin: () => string | undefined;
  /** Called if EC2 refused the request, so that nothing was moved. */
  readonly refused: () => void;
}

/** The public IPv4 address that requests to a URL come from, and the variable that names a proxy, if one is in between. */
export interface ShownIp {
  readonly publicIp: string;
  readonly proxyVariable?: string;
}

/** What a heal needs in addition. */
export interface HealPorts extends Ports, Pick<Aws, "publicIpBy"> {
  readonly lastWrite: LastWrite;
  /**
   * The same for one of several addresses, each of which has a record of its own.
   *
   * @param formerly other names by which it may have been in the settings
   * @param wasAnother the only address of the last run was another one
   */
  readonly lastWriteOf: (
    address: string,
    formerly: readonly string[],
    wasAnother?: boolean,
  ) => LastWrite;
}

/** The result files in /run/eip-heal, which all runs on this machine share and other units read. */
export interface SharedResult {
  /** Whether another run has released the address since this one was started, which then stops before its next write. */
  readonly wasReleased: () => boolean;
  /**
   * Removes the published address, which is untrue or about to be.
   *
   * @param asOf when that was found out, in milliseconds of the run's clock: a result that is newer stays
   */
  readonly withdraw: (asOf: number) => void;
}

/** For a run without result files. */
export const NOT_SHARED: SharedResult = { wasReleased: () => false, withdraw: () => {} };

export interface Ports {
  /**
   * Opens a session by fetching an instance metadata token.
   *
   * @param signal aborts its requests
   * @param needsEc2 begin to connect to EC2, while instance metadata is read
   * @throws Failure
   */
  open(signal: AbortSignal, needsEc2?: boolean): Promise<RunSession>;
  readonly clock: {
    /** Milliseconds since boot, without those in which the machine was suspended. */
    now: () => number;
    /** Milliseconds during which the machine was suspended since this process started, to within a second or so. */
    suspended: () => number;
    /** Wall-clock time. */
    date: () => Date;
    random: () => number;
    sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  };
  readonly log: Readonly<Record<"warn" | "debug", (line: string) => void>>;
}
