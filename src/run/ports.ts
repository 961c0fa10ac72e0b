/** What the story needs from the world; aws/ and system/ provide it, tests do too. */
import type { DesiredAddress, ElasticIp, Observation } from "../model/address.ts";
import type { Target } from "../model/target.ts";
import type { Question } from "../reconcile/state.ts";
import type { Instance } from "../model/instance.ts";
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

/** What one try stands on: this instance, read afresh, and connections to AWS in its name. */
export interface Session {
  readonly self: Instance;
  connect(): Promise<Ec2>;
  autoScaling(): Promise<AutoScaling>;
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

export interface Ports {
  /** Reads who this instance is, for those who ask AWS for nothing: no tags, no credentials. */
  identify(signal: AbortSignal): Promise<Instance>;
  /** Reads who this instance is, and the first of these tags that it has; `signal` ends whatever is done on this footing. */
  openSession(tags: readonly string[], signal: AbortSignal): Promise<Session>;
  readonly clock: {
    now: () => number;
    /** Wall-clock time. */
    date: () => Date;
    random: () => number;
    sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  };
  readonly log: Readonly<Record<"warn" | "debug", (line: string) => void>>;
}
