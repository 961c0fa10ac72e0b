/**
 * A small account in memory, which answers the calls of the acceptance as AWS does, in virtual time: the answers are those
 * of the API's documentation, cut to what is read. What a test needs otherwise it puts into `answers`.
 */
import { setImmediate } from "node:timers/promises";
import { type Aws, AwsError } from "../../acceptance/aws.ts";
import type { Clock } from "../../acceptance/clock.ts";

type Parameters_ = Record<string, unknown>;
type Answer = (parameters: Parameters_, flags: readonly string[]) => unknown;

export const ACCOUNT = "123456789012";

interface Machine {
  id: string;
  state: string;
  lifecycle: string;
  launchedAt: number;
  boots: number;
  /** Whether it has had the address. */
  healed?: boolean;
}

/**
 * What goes wrong with a call: it does not arrive, its answer gets lost, AWS refuses it, or it is the first of all that do
 * not arrive any more.
 */
export type Trouble = "lost" | "answer lost" | "refused" | "gone for good";

/** A refusal, in the words of the AWS CLI. */
export function refusal(command: string, code: string, message = "no"): AwsError {
  const operation = command.split(" ").at(-1);
  return new AwsError(
    command,
    `An error occurred (${code}) when calling the ${operation} operation: ${message}`,
  );
}

export class Account implements Aws {
  /** Virtual milliseconds. */
  now = 0;
  readonly calls: string[] = [];
  readonly stacks = new Map<string, { status: string; tags: unknown }>();
  /** While an instance ends, its association is still there for a while, with an interface and no instance. */
  readonly addresses = new Map<string, { holder?: string; association?: string; tags: unknown }>();
  readonly buckets = new Map<string, Map<string, string>>();
  readonly machines: Machine[] = [];
  warm: Machine | undefined;
  /** While it has one, the group cannot be deleted. */
  warmPool = false;
  /** How long an instance takes until it has the address. */
  healMs = 30_000;
  /** Whether instances heal, and whether rechecks do. */
  heals = true;
  rechecks = true;
  /** Whether the console shows what instance.sh writes. */
  speaks = true;
  /** Why stacks are in the state that they are in. */
  reason: string | undefined = "because";
  /** Outputs that stacks have. */
  outputs = ["VpcId", "SubnetIds", "GroupName"];
  /** Instead of the answers below, by command. */
  answers: Record<string, Answer> = {};
  /** What happens after the answers, by command. */
  besides: Record<string, (parameters: Parameters_) => void> = {};
  /** Which call goes wrong, from 1. */
  fault: { readonly at: number; readonly how: Trouble } | undefined;
  #count = 0;
  /** What is still to come, in virtual time. */
  #coming: { at: number; what: () => void }[] = [];

  readonly clock: Clock = {
    now: () => this.now,
    sleep: async (ms) => {
      this.now += ms;
      this.#pass();
      // As on a real clock, a failure that nobody waits for is noticed meanwhile.
      await setImmediate();
    },
  };

  async call(command: string, parameters: object = {}, flags: readonly string[] = []) {
    const number = this.calls.push(command);
    // A call takes time as well.
    this.now += 100;
    this.#pass();
    const [, operation = ""] = command.split(" ");
    const answer = this.answers[command] ?? this.#usual[operation];
    if (answer === undefined) throw new Error(`nobody has thought of ${command}`);
    const how = this.#troubleOf(number);
    if (how === "refused") throw refusal(command, "InternalError");
    if (how === "lost" || how === "gone for good") throw new Error("the network is gone");
    const answered = answer.call(this, parameters as Parameters_, flags);
    this.besides[command]?.(parameters as Parameters_);
    if (how === "answer lost") throw new Error("the network is gone");
    return answered;
  }

  #troubleOf(call: number): Trouble | undefined {
    if (this.fault === undefined) return undefined;
    const { at, how } = this.fault;
    return call === at || (call > at && how === "gone for good") ? how : undefined;
  }

  timed(_command: string, parameters: object): Promise<number> {
    return Promise.resolve("Filters" in parameters ? 240 : 80);
  }

  get group(): Machine[] {
    return this.machines.filter(({ lifecycle }) => lifecycle !== "gone");
  }

  get holder(): string | undefined {
    return [...this.addresses.values()][0]?.holder;
  }

  launch(): Machine {
    const id = `i-${String(++this.#count).padStart(17, "0")}`;
    const machine = {
      id,
      state: "running",
      lifecycle: "InService",
      launchedAt: this.now,
      boots: 1,
    };
    this.machines.push(machine);
    return machine;
  }

  associate(allocationId: string, holder: string | undefined): string {
    const association = `eipassoc-${++this.#count}`;
    const address = this.addresses.get(allocationId);
    if (address === undefined)
      throw refusal("ec2 associate-address", "InvalidAllocationID.NotFound");
    if (holder === undefined) {
      delete address.holder;
      delete address.association;
    } else Object.assign(address, { holder, association });
    return association;
  }

  /** What time brings: the newest instance heals, and rechecks bring the address back. */
  #pass(): void {
    const due = this.#coming.filter(({ at }) => at <= this.now);
    this.#coming = this.#coming.filter(({ at }) => at > this.now);
    for (const { what } of due) what();
    const [first] = this.addresses.keys();
    const able = this.group.filter(
      ({ state, lifecycle }) => state === "running" && lifecycle === "InService",
    );
    const newest = able.toSorted((a, b) => b.launchedAt - a.launchedAt)[0];
    if (first === undefined || newest === undefined || !this.heals) return;
    if (this.now - newest.launchedAt < this.healMs || this.holder === newest.id) return;
    if (newest.healed === true && !this.rechecks) return;
    newest.healed = true;
    this.associate(first, newest.id);
  }

  #later(ms: number, what: () => void): void {
    this.#coming.push({ at: this.now + ms, what });
  }

  #output(id: string): string {
    const machine = [...this.machines, ...(this.warm ? [this.warm] : [])].find(
      (one) => one.id === id,
    );
    if (!this.speaks || machine === undefined) return "Linux version 6.1\n";
    const state = machine === this.warm ? "Warmed:Stopped" : "InService";
    return Array.from({ length: machine.boots }, (_, boot) =>
      [
        `[   12.3] EIP-HEAL-ACCEPTANCE boot b-${boot}`,
        "EIP-HEAL-ACCEPTANCE state 12 404 ",
        `EIP-HEAL-ACCEPTANCE state 19 200 ${state}`,
        "EIP-HEAL-ACCEPTANCE log associated eipalloc-1 with here, 1 try, 6.4 s",
        "EIP-HEAL-ACCEPTANCE denied --dry-run An error occurred (UnauthorizedOperation): You are not authorized",
        "EIP-HEAL-ACCEPTANCE denied --no-dry-run An error occurred (UnauthorizedOperation): You are not authorized. Encoded",
      ].join("\r\n"),
    ).join("\r\n");
  }

  readonly #usual: Record<string, Answer> = {
    "get-caller-identity": () => ({ Account: ACCOUNT }),
    "get-parameter": () => ({ Parameter: { Value: "ami-1" } }),
    "allocate-address": ({ TagSpecifications }) => {
      const id = `eipalloc-${++this.#count}`;
      this.addresses.set(id, { tags: (TagSpecifications as { Tags: unknown }[])[0]?.Tags });
      return { AllocationId: id, PublicIp: `203.0.113.${this.#count}` };
    },
    "describe-addresses": ({ AllocationIds }) => ({
      Addresses: [...this.addresses]
        .filter(([id]) => AllocationIds === undefined || (AllocationIds as string[]).includes(id))
        .map(([AllocationId, { holder, association }]) => ({
          AllocationId,
          ...(holder && { InstanceId: holder }),
          ...(association && { NetworkInterfaceId: "eni-1", AssociationId: association }),
        })),
    }),
    "associate-address": ({ AllocationId, InstanceId, DryRun, AllowReassociation }) => {
      const command = "ec2 associate-address";
      const holder = this.addresses.get(String(AllocationId))?.holder;
      if (holder !== undefined && holder !== InstanceId && AllowReassociation === false) {
        throw refusal(command, "Resource.AlreadyAssociated");
      }
      if (DryRun === true)
        throw refusal(command, "DryRunOperation", "Request would have succeeded");
      return { AssociationId: this.associate(String(AllocationId), String(InstanceId)) };
    },
    "disassociate-address": ({ AssociationId }) => {
      for (const [id, { association }] of this.addresses) {
        if (association === AssociationId) this.associate(id, undefined);
      }
      return {};
    },
    "release-address": ({ AllocationId }) => {
      if (this.addresses.get(String(AllocationId))?.association !== undefined)
        throw refusal("ec2 release-address", "InvalidIPAddress.InUse");
      this.addresses.delete(String(AllocationId));
      return {};
    },
    "create-bucket": ({ Bucket }) => {
      this.buckets.set(String(Bucket), new Map());
      return {};
    },
    "put-bucket-tagging": () => ({}),
    "put-object": ({ Bucket, Key }, [, body = ""]) => {
      this.buckets.get(String(Bucket))?.set(String(Key), body);
      return {};
    },
    presign: () => "https://bucket.s3.example/key?signature",
    "list-buckets": () => ({ Buckets: [...this.buckets.keys()].map((Name) => ({ Name })) }),
    "list-objects-v2": ({ Bucket }) => ({
      Contents: [...(this.buckets.get(String(Bucket))?.keys() ?? [])].map((Key) => ({ Key })),
    }),
    "delete-object": ({ Bucket, Key }) => {
      this.buckets.get(String(Bucket))?.delete(String(Key));
      return {};
    },
    "delete-bucket": ({ Bucket }) => {
      if (this.buckets.get(String(Bucket))?.size)
        throw refusal("s3api delete-bucket", "BucketNotEmpty");
      this.buckets.delete(String(Bucket));
      return {};
    },
    "create-stack": ({ StackName, Tags }) => {
      const stack = { status: "CREATE_IN_PROGRESS", tags: Tags };
      this.stacks.set(String(StackName), stack);
      if (String(StackName).endsWith("-group")) this.launch();
      this.#later(60_000, () => {
        if (stack.status === "CREATE_IN_PROGRESS") stack.status = "CREATE_COMPLETE";
      });
      return {};
    },
    "describe-stacks": ({ StackName }) => {
      const found = [...this.stacks].filter(
        ([name]) => StackName === undefined || name === StackName,
      );
      if (found.length === 0 && StackName !== undefined) {
        throw refusal("cloudformation describe-stacks", "ValidationError", "does not exist");
      }
      const Outputs = this.outputs.map((OutputKey) => ({ OutputKey, OutputValue: "some-1" }));
      const Stacks = found.map(([name, { status, tags }]) => ({
        StackName: name,
        StackStatus: status,
        ...(this.reason !== undefined && { StackStatusReason: this.reason }),
        Tags: tags,
        Outputs,
      }));
      return { Stacks };
    },
    "delete-stack": ({ StackName }) => {
      const name = String(StackName);
      const stack = this.stacks.get(name);
      if (stack === undefined) return {};
      const isGroup = name.endsWith("-group");
      const isUsed = isGroup ? this.warmPool : this.stacks.has(name.replace(/-network$/, "-group"));
      stack.status = isUsed ? "DELETE_FAILED" : "DELETE_IN_PROGRESS";
      if (isUsed) return {};
      if (isGroup) for (const machine of this.group) this.#end(machine);
      this.#later(30_000, () => this.stacks.delete(name));
      return {};
    },
    "describe-auto-scaling-groups": () => ({
      AutoScalingGroups: [
        {
          Instances: this.group.map(({ id, lifecycle }) => ({
            InstanceId: id,
            LifecycleState: lifecycle,
          })),
        },
      ],
    }),
    "set-desired-capacity": () => {
      this.launch();
      return {};
    },
    "terminate-instance-in-auto-scaling-group": ({
      InstanceId,
      ShouldDecrementDesiredCapacity,
    }) => {
      const machine = this.machines.find(({ id }) => id === InstanceId);
      if (machine) this.#end(machine);
      if (ShouldDecrementDesiredCapacity === false) this.launch();
      return {};
    },
    "put-warm-pool": () => {
      this.warmPool = true;
      const launchedAt = this.now;
      this.#later(20_000, () => {
        this.warm = { id: "i-warm", state: "stopped", lifecycle: "", launchedAt, boots: 1 };
      });
      return {};
    },
    "describe-warm-pool": () => ({
      ...(this.warmPool && { WarmPoolConfiguration: {} }),
      Instances: this.warm ? [{ InstanceId: this.warm.id }] : [],
    }),
    "delete-warm-pool": () => {
      this.#later(30_000, () => {
        this.warmPool = false;
        this.warm = undefined;
      });
      return {};
    },
    "enter-standby": ({ InstanceIds }) => {
      this.#set(InstanceIds, { lifecycle: "EnteringStandby" });
      this.#later(10_000, () => this.#set(InstanceIds, { lifecycle: "Standby" }));
      this.launch();
      return {};
    },
    "exit-standby": ({ InstanceIds }) => {
      this.#set(InstanceIds, { lifecycle: "Pending" });
      this.#later(10_000, () => this.#set(InstanceIds, { lifecycle: "InService" }));
      return {};
    },
    "stop-instances": ({ InstanceIds }) => {
      this.#set(InstanceIds, { state: "stopping" });
      this.#later(20_000, () => this.#set(InstanceIds, { state: "stopped" }));
      return {};
    },
    "start-instances": ({ InstanceIds }) => {
      this.#set(InstanceIds, { state: "pending" });
      this.#later(20_000, () => this.#set(InstanceIds, { state: "running", boots: 2 }));
      return {};
    },
    "reboot-instances": ({ InstanceIds }) => {
      this.#set(InstanceIds, { boots: 2 });
      return {};
    },
    "describe-instances": ({ InstanceIds }) => ({
      Reservations: [
        {
          Instances: this.machines
            .filter(({ id }) => (InstanceIds as string[]).includes(id))
            .map(({ state }) => ({ State: { Name: state } })),
        },
      ],
    }),
    "get-console-output": ({ InstanceId }) => ({ Output: this.#output(String(InstanceId)) }),
  };

  /** Changes instances, but for those that have begun to end. */
  #set(ids: unknown, change: Partial<Machine>): void {
    for (const machine of this.machines) {
      const isEnding = ["Terminating", "gone"].includes(machine.lifecycle);
      if ((ids as string[]).includes(machine.id) && !isEnding) Object.assign(machine, change);
    }
  }

  /** It shuts down; then its interface has the address for a moment, and then nobody. */
  #end(machine: Machine): void {
    Object.assign(machine, { state: "shutting-down", lifecycle: "Terminating" });
    const held = [...this.addresses.values()].filter(({ holder }) => holder === machine.id);
    const before = held.map(({ association }) => association);
    this.#later(10_000, () => {
      Object.assign(machine, { state: "terminated", lifecycle: "gone" });
      for (const address of held.filter(({ holder }) => holder === machine.id))
        delete address.holder;
    });
    this.#later(12_000, () => {
      for (const address of held) {
        if (before.includes(address.association)) delete address.association;
      }
    });
  }
}
