/** What the story needs from the world; aws/ and system/ provide it, tests do too. */
import type { Agent } from "node:http";
import type { DesiredAddress, ElasticIp, Observation } from "../model/address.ts";
import type { Target } from "../model/target.ts";
import type { Question } from "../reconcile/state.ts";
import type { Instance, InstanceContext } from "../model/instance.ts";
import type { HookResult } from "../model/outcome.ts";

/** EC2, over one connection. Every method throws Failures. */
export interface Ec2 {
  /** The tags of this instance. */
  tags(): Promise<Readonly<Record<string, string>>>;
  /**
   * Shows the desired address, or all of the pool, and who holds them.
   *
   * @param question what is to be told of holders; without it everything
   */
  observe(desired: DesiredAddress, target: Target, question?: Question): Promise<Observation>;
  /** The Elastic IP at the target now, if there is one. */
  elasticIpAt(target: Target & { publicIp: string }): Promise<ElasticIp | undefined>;
  /** Associates. With `reassociate` it takes the address from whoever holds it; without, that is a Failure `held`. */
  associate(allocationId: string, target: Target, reassociate: boolean): Promise<void>;
  /** Ends this association, and no other. */
  release(associationId: string): Promise<void>;
  close(): void;
}

/** Auto Scaling, over one connection, for this instance. Every method throws Failures. */
export interface AutoScaling {
  /** The group that this instance is in, if it is in one, and its lifecycle state there if that is shown. */
  member(): Promise<{ group: string; lifecycleState?: string } | undefined>;
  /** Completes the lifecycle action that this instance waits in under a hook of the group; false if there is none. */
  complete(group: string, hook: string, result: HookResult): Promise<boolean>;
  /** Begins the timeout of that lifecycle action anew; false if there is none. */
  heartbeat(group: string, hook: string): Promise<boolean>;
  close(): void;
}

/** EC2, and whether the role may call it (`DryRun`); whatever EC2 answers but yes is a Failure. */
export interface DryRunEc2 extends Ec2 {
  mayDescribeAddresses(): Promise<void>;
  mayDescribeInstances(): Promise<void>;
  mayDescribeInterfaces(): Promise<void>;
  /** The pools that there are: how many addresses carry each value of this tag. */
  pools(key: string): Promise<Readonly<Record<string, number>>>;
  /** Asks for exactly what `associate` would ask for. */
  mayAssociate(allocationId: string, target: Target, reassociate: boolean): Promise<void>;
}

/** What signs requests. The keys themselves stay in aws/. */
export interface Signer {
  /** For people: `the role web`, `the environment`. */
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

/** What an attempt of a run works with. Every method throws Failures. */
export interface RunSession {
  /**
   * Reads who this instance is, and the first of these tags that it has.
   *
   * @param also `group`: its Auto Scaling group, where no lifecycle state is shown; `ipv6`: whether it has IPv6, which is
   *   read anyhow once a connection of an earlier session has come to nothing
   */
  instance(
    tags: readonly string[],
    also?: { readonly group?: boolean; readonly ipv6?: boolean },
  ): Promise<Instance>;
  /** Fetches credentials, once for the session: the first one who asks makes the requests. */
  credentials(): Promise<Signer>;
  /** Opens a connection to EC2. */
  ec2(self: Instance): Promise<Ec2>;
  /** Opens a connection to Auto Scaling. */
  autoScaling(self: Instance): Promise<AutoScaling>;
}

/** The same, and what only `doctor` and `policy` ask. */
export interface Session extends RunSession {
  /** The region the instance is in, whatever a variable says. */
  ownRegion(): Promise<string | undefined>;
  hasTags(): Promise<boolean>;
  /** The Auto Scaling group by its tag, which instance metadata shows if tags are on. */
  group(): Promise<string | undefined>;
  /** Account, partition and VPCs, for the ARNs of a policy. */
  instanceContext(self: Instance): Promise<InstanceContext>;
  /** The name of the instance role. */
  role(): Promise<string | undefined>;
  /** Those of EC2, in the order in which sessions take turns with them. */
  endpoints(self: Instance): Promise<readonly Endpoint[]>;
  ec2(self: Instance, dualStack?: boolean): Promise<DryRunEc2>;
  /** `ends` ends its requests, in place of the signal of the session. */
  autoScaling(self: Instance, ends?: AbortSignal): Promise<AutoScaling>;
}

/** AWS as the standard variables describe it. */
export interface Aws {
  readonly metadataUrl: URL;
  /** Are keys set in the environment? */
  readonly hasKeys: boolean;
  /** Opens a session: a token of instance metadata. `signal` ends whatever is done in it. @throws Failure */
  open(signal: AbortSignal): Promise<Session>;
}

/** The last write of this boot. */
export interface SentWrite {
  /** When it was sent, in milliseconds of the clock. */
  readonly at: number;
  /** Has EC2 accepted it or an earlier one, or shown what one has done? */
  readonly hasWritten: boolean;
}

/** What runs on this boot keep of their last write; undefined: none was sent. */
export interface LastWrite {
  readonly read: () => SentWrite | undefined;
  readonly record: (write: SentWrite | undefined) => void;
}

/** Who counts how often the address is moved. */
export interface Moves {
  /** Before the request; may abort the run's signal. */
  readonly begin: () => void;
  /** It was refused: nothing has moved. */
  readonly refused: () => void;
}

/** What a heal needs besides. */
export interface HealPorts extends Ports {
  readonly lastWrite: LastWrite;
}

/** Others on this machine: who is told where the address is, and who may give it up meanwhile. */
export interface Others {
  /** Has the address been given up since this run was started? Then it stops, before its next write. */
  readonly haveGivenUp: () => boolean;
  /** Takes back what they were told of the address: found out at that time, in milliseconds of the clock. */
  readonly withdraw: (asOf: number) => void;
}

export const NOBODY_ELSE: Others = { haveGivenUp: () => false, withdraw: () => {} };

export interface Ports {
  /** Opens a session: a token of instance metadata. `signal` ends whatever is done in it. @throws Failure */
  open(signal: AbortSignal): Promise<RunSession>;
  readonly clock: {
    now: () => number;
    /** Wall-clock time. */
    date: () => Date;
    random: () => number;
    sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  };
  readonly log: Readonly<Record<"warn" | "debug", (line: string) => void>>;
}
