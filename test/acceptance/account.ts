/**
 * A small account in memory, which answers the calls of the acceptance as AWS does, in virtual time: the answers are those
 * of the API's documentation, cut to what is read. What a test needs otherwise it puts into `answers`.
 */
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
  /** Instead of the answers below, by command. */
  answers: Record<string, Answer> = {};
  #count = 0;

  readonly clock: Clock = {
    now: () => this.now,
    sleep: async (ms) => {
      this.now += ms;
      this.#pass();
    },
  };

  async call(command: string, parameters: object = {}, flags: readonly string[] = []) {
    this.calls.push(command);
    // A call takes time as well.
    this.now += 100;
    this.#pass();
    const [, operation = ""] = command.split(" ");
    const answer = this.answers[command] ?? this.#usual[operation];
    if (answer === undefined) throw new Error(`nobody has thought of ${command}`);
    return answer.call(this, parameters as Parameters_, flags);
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
          ...(holder && {
            InstanceId: holder,
            NetworkInterfaceId: "eni-1",
            AssociationId: association,
          }),
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
      this.stacks.set(String(StackName), { status: "CREATE_COMPLETE", tags: Tags });
      if (String(StackName).endsWith("-group")) this.launch();
      return {};
    },
    "describe-stacks": ({ StackName }) => {
      const found = [...this.stacks].filter(
        ([name]) => StackName === undefined || name === StackName,
      );
      if (found.length === 0 && StackName !== undefined) {
        throw refusal("cloudformation describe-stacks", "ValidationError", "does not exist");
      }
      const Outputs = [
        { OutputKey: "VpcId", OutputValue: "vpc-1" },
        { OutputKey: "SubnetIds", OutputValue: "subnet-1,subnet-2" },
        { OutputKey: "GroupName", OutputValue: "run-group-Group-1" },
      ];
      const Stacks = found.map(([name, { status, tags }]) => ({
        StackName: name,
        StackStatus: status,
        StackStatusReason: "because",
        Tags: tags,
        Outputs,
      }));
      return { Stacks };
    },
    "delete-stack": ({ StackName }) => {
      const stack = this.stacks.get(String(StackName));
      if (String(StackName).endsWith("-group") && this.warmPool && stack) {
        stack.status = "DELETE_FAILED";
        return {};
      }
      this.stacks.delete(String(StackName));
      if (String(StackName).endsWith("-group")) {
        for (const machine of this.machines) this.#end(machine);
      }
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
      this.warm = { id: "i-warm", state: "stopped", lifecycle: "", launchedAt: this.now, boots: 1 };
      return {};
    },
    "describe-warm-pool": () => ({
      ...(this.warmPool && { WarmPoolConfiguration: {} }),
      Instances: this.warm ? [{ InstanceId: this.warm.id }] : [],
    }),
    "delete-warm-pool": () => {
      this.warmPool = false;
      this.warm = undefined;
      return {};
    },
    "enter-standby": ({ InstanceIds }) => {
      this.#set(InstanceIds, { lifecycle: "Standby" });
      this.launch();
      return {};
    },
    "exit-standby": ({ InstanceIds }) => {
      this.#set(InstanceIds, { lifecycle: "InService" });
      return {};
    },
    "stop-instances": ({ InstanceIds }) => {
      this.#set(InstanceIds, { state: "stopped" });
      return {};
    },
    "start-instances": ({ InstanceIds }) => {
      this.#set(InstanceIds, { state: "running", boots: 2 });
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

  #set(ids: unknown, change: Partial<Machine>): void {
    for (const machine of this.machines) {
      if ((ids as string[]).includes(machine.id)) Object.assign(machine, change);
    }
  }

  #end(machine: Machine): void {
    Object.assign(machine, { state: "terminated", lifecycle: "gone" });
    for (const [id, { holder }] of this.addresses) {
      if (holder === machine.id) this.associate(id, undefined);
    }
  }
}
