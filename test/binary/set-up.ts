/**
 * A set-up that can be broken, and a reader of cures: it does what doctor prints, literally, and nothing else.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import type { AddressSpec, InstanceSpec } from "../../sim/build.ts";
import type { PolicyDocument } from "../../sim/iam.ts";
import { type RunningRegion, startRegion } from "../../sim/server.ts";
import { aWorld, type BuiltInstance, type World } from "../../sim/world.ts";
import { type AgentRun, run } from "../support/agent.ts";

export interface Check {
  readonly id: string;
  readonly mark: "ok" | "warning" | "failed" | "skipped";
  readonly found: string;
  readonly cure?: string;
  readonly commands?: readonly string[];
  readonly blockedBy?: readonly string[];
}

export interface Checkup {
  readonly version: number;
  readonly at: string;
  readonly healthy: boolean;
  readonly exitStatus: number;
  readonly message: string;
  readonly first?: string;
  readonly checks: readonly Check[];
}

/** What a set-up starts from, when it is not simply healthy. */
export interface Start {
  readonly instance?: InstanceSpec;
  readonly address?: AddressSpec;
  /** Auto Scaling groups, each with its lifecycle hook. */
  readonly groups?: Readonly<Record<string, string>>;
  /** Before the region starts; the address is free and the instance wants it by its tag. */
  readonly build?: (world: World, me: BuiltInstance, allocationId: string) => void;
  readonly region?: Parameters<typeof startRegion>[1];
  readonly world?: Parameters<typeof aWorld>[0];
}

/** One instance of a simulated region with its settings, healthy unless it is broken. */
export class SetUp {
  readonly #folder: string;
  readonly region: RunningRegion;
  readonly me: BuiltInstance;
  readonly allocationId: string;
  /** By how much the region's clock differs from this machine's, in milliseconds. */
  offsetMs = 0;
  readonly environment: Record<string, string> = {};
  /** Lines of the settings file; undefined: there is none. */
  conf: string[] | undefined = [];
  ec2Url: string;
  /** The file of the authority that TLS certificates are by. */
  authority = "";
  /** The address that somebody who follows a cure would choose. */
  chosen: string;
  /** Tags of Auto Scaling groups, which the instances have that are launched from now on. */
  readonly groupTags: Record<string, Record<string, string>> = {};
  /** What was put into the role, by name. */
  readonly #policies = new Map<string, PolicyDocument["Statement"]>();

  private constructor(
    region: RunningRegion,
    me: BuiltInstance,
    allocationId: string,
    clock: { setUp?: SetUp },
  ) {
    this.#folder = mkdtempSync(join(tmpdir(), "eip-heal-doctor-"));
    this.region = region;
    this.me = me;
    this.allocationId = this.chosen = allocationId;
    this.ec2Url = region.ec2Url;
    clock.setUp = this;
  }

  static async start(start: Start = {}): Promise<SetUp> {
    const { instance, address, groups, build, region } = start;
    const world = aWorld(start.world);
    for (const [name, hook] of Object.entries(groups ?? {})) world.group(name, { name: hook });
    const { allocationId } = world.address(address);
    const me = world.instance({
      role: "full",
      metadataTags: true,
      autoPublicIp: true,
      ...instance,
      tags: { "allocation-id": allocationId, ...instance?.tags },
    });
    build?.(world, me, allocationId);
    const clock: { setUp?: SetUp } = {};
    const now = () => Date.now() + (clock.setUp?.offsetMs ?? 0);
    const running = await startRegion(world, { now, ...region });
    return new SetUp(running, me, allocationId, clock);
  }

  /** Its /run/eip-heal. */
  get runtime(): string {
    return this.#folder;
  }

  get confFile(): string {
    return join(this.#folder, "eip-heal.conf");
  }

  async close(): Promise<void> {
    await this.region.close();
    rmSync(this.#folder, { recursive: true });
    if (this.region.bugs.length > 0)
      throw new Error(`the region has bugs: ${this.region.bugs.join("; ")}`);
  }

  /** Gives this machine a systemd that knows these units, by what `systemctl show` prints of them. */
  systemd(units: Readonly<Record<string, Readonly<Record<string, string>>>>): void {
    const cases = Object.entries(units).map(
      ([name, properties]) =>
        `${name}) ${Object.entries(properties)
          .map(([key, value]) => `echo '${key}=${value}'`)
          .join("; ")} ;;`,
    );
    const file = join(this.#folder, "systemctl");
    // Moved into its place whole: it may be running.
    const fresh = `${file}.new`;
    writeFileSync(
      fresh,
      `#!/bin/sh\ncase $2 in\n${cases.join("\n")}\n*) echo LoadState=not-found ;;\nesac\n`,
    );
    chmodSync(fresh, 0o755);
    renameSync(fresh, file);
  }

  /** The variables that eip-heal has here, and its settings file. */
  prepare(): { environment: Record<string, string>; flags: string[] } {
    rmSync(this.confFile, { force: true });
    if (this.conf !== undefined)
      writeFileSync(this.confFile, this.conf.map((line) => `${line}\n`).join(""));
    return {
      flags: ["--config", this.confFile],
      environment: {
        AWS_EC2_METADATA_SERVICE_ENDPOINT: this.region.imdsUrl(this.me.instanceId),
        AWS_ENDPOINT_URL_EC2: this.ec2Url,
        AWS_ENDPOINT_URL_AUTO_SCALING: this.region.autoScalingUrl,
        // No systemctl of this machine has a say.
        PATH: this.#folder,
        ...this.environment,
      },
    };
  }

  /** Runs eip-heal here. */
  run(...more: string[]): Promise<AgentRun> {
    const { environment, flags } = this.prepare();
    return run(environment, { flags: [...flags, ...more], runtime: this.#folder });
  }

  async doctor(): Promise<Checkup & { status: number | null }> {
    const { stdout, status, log } = await this.run("doctor", "--json");
    try {
      return { ...(JSON.parse(stdout) as Checkup), status };
    } catch {
      throw new Error(`doctor printed ${stdout}\n${log.join("\n")}`);
    }
  }

  /** Does what the cure of this check says: its commands, or else its text. */
  follow({ cure = "", commands = [], found }: Check): void {
    for (const command of commands) this.#execute(command);
    for (const [pattern, act] of this.#sentences(found)) {
      const match = pattern.exec(cure);
      if (match === null) continue;
      act(...match.slice(1));
      return;
    }
    if (commands.length === 0) throw new Error(`nobody knows how to follow: ${cure}`);
  }

  // --- internal ---

  #set(place: string, name: string, value: string): void {
    if (place === "the environment") this.environment[name] = value;
    else if (place === this.confFile) this.conf = [...(this.conf ?? []), `${name}=${value}`];
    else throw new Error(`there is no place ${place}`);
  }

  #remove(place: string, name: string): void {
    if (place === "the environment") delete this.environment[name];
    else if (place === this.confFile)
      this.conf = this.conf?.filter((line) => !line.startsWith(`${name}=`));
    else throw new Error(`there is no place ${place}`);
  }

  #rename(place: string, name: string, meant: string): void {
    if (place !== this.confFile) throw new Error(`there is no place ${place}`);
    this.conf = this.conf?.map((line) => line.replace(`${name}=`, `${meant}=`));
  }

  /** A role has its policies by name: a second one of the same name takes the place of the first. */
  #putPolicy(role: string, name: string, policy: PolicyDocument): void {
    const { region } = this.region;
    const had = (region.role(role)?.grants ?? []).flatMap((grant) => grant.policy.Statement);
    const before = this.#policies.get(name) ?? [];
    const others = had.filter((statement) => !before.includes(statement));
    this.#policies.set(name, policy.Statement);
    region.setPolicy(role, { Statement: [...others, ...policy.Statement] });
  }

  /** The role trusts EC2, by the name that it has in this partition; IAM takes no other. */
  #trust(statement: unknown): void {
    const { name } = this.region.region;
    const Service = name.startsWith("cn-") ? "ec2.amazonaws.com.cn" : "ec2.amazonaws.com";
    const principal = { Effect: "Allow", Principal: { Service }, Action: "sts:AssumeRole" };
    if (!isDeepStrictEqual(statement, principal)) throw new Error("an invalid principal");
    this.region.region.setCredentials(this.me.role ?? "", { broken: null });
  }

  /** The sentences that are instructions without a command. The first that fits counts. */
  #sentences(found: string): [RegExp, (...parts: string[]) => void][] {
    const [, named = "", where = ""] = /(EIP_HEAL_\w+) in (.+?) is /.exec(found) ?? [];
    return [
      [
        /remove (\w+) from (the environment|\S+?)(?:,|$)/,
        (name, place) => this.#remove(place, name),
      ],
      [/set it to what is accepted: an allocation id/, () => this.#set(where, named, this.chosen)],
      [/set it to what is accepted: ([^,]+)/, (value) => this.#set(where, named, value)],
      [
        /correct that line, or remove it/,
        () => {
          const line = Number(/, line (\d+):/.exec(found)?.[1]);
          this.conf?.splice(line - 1, 1);
        },
      ],
      [/make (\S+) a file that everybody may read/, () => (this.conf = [])],
      [
        /correct (AWS_\w+|NODE_EXTRA_CA_CERTS) in (the environment|\S+), or remove it there/,
        (name, place) => this.#remove(place, name),
      ],
      [
        /(AWS_\w+) is set: correct it in (the environment|\S+), or remove it there/,
        (name, place) => this.#remove(place, name),
      ],
      [
        /correct AWS_ACCESS_KEY_ID, .* in (the environment|\S+), or remove them there/,
        (place) => {
          for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
            this.#remove(place, name);
        },
      ],
      [
        /set both, or none to use the instance role/,
        () => {
          for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
            delete this.environment[name];
        },
      ],
      [
        /set (EIP_HEAL_ALLOCATION_ID) to the allocation id of that address in (the environment|\S+)/,
        (name, place) => this.#set(place, name, this.chosen),
      ],
      [
        /set (EIP_HEAL_\w+)=(\S+) in (the environment|[^\s,]+)/,
        (name, value, place) => this.#set(place, name, value),
      ],
      [
        /set (EIP_HEAL_\w+) in (the environment|\S+) to one of: (\S+?)(?:,| |$)/,
        (name, place, value) => this.#set(place, name, value),
      ],
      [
        /name the CA's file in (NODE_EXTRA_CA_CERTS)/,
        (name) => this.#set(this.confFile, name, this.authority),
      ],
      [
        /add (\{.+\}) to the statements of its trust policy;.* replaces the one that is there/,
        (text) => this.#trust(JSON.parse(text)),
      ],
      [
        /rename (\w+) to (EIP_HEAL_\w+) in (the environment|[^\s,]+), or remove it there/,
        (name, meant, place) => this.#rename(place, name, meant),
      ],
      [/^wait: EC2 limits/, () => this.region.faults.clear()],
      [/let HTTPS pass it untouched/, () => this.region.faults.clear()],
    ];
  }

  #execute(command: string): void {
    const { region } = this.region;
    const { instanceId } = this.me;
    const words = execFileSync("bash", ["-c", `printf '%s\\0' ${command}`]);
    const [program = "", service = "", action = "", ...rest] = words.toString().split("\0");
    const options = new Map<string, string>();
    for (let at = 0; at < rest.length; at += 2) options.set(rest[at] ?? "", rest[at + 1] ?? "");
    const option = (name: string) => options.get(`--${name}`) ?? "";
    const isMine = [undefined, instanceId, "INSTANCE_ID"].includes(options.get("--instance-id"));
    if (!isMine) throw new Error(`${command}: another instance`);
    const where = options.get("--region");
    if (where !== undefined && where !== region.name) throw new Error(`${command}: another region`);

    switch (`${program} ${service} ${action}`) {
      case "aws ec2 modify-instance-metadata-options": {
        const [name] = [...options.keys()].filter((key) => !/instance-id|region/.test(key));
        if (name === "--http-endpoint") region.setMetadata(instanceId, { metadata: "enabled" });
        else if (name === "--instance-metadata-tags")
          region.setMetadata(instanceId, { tags: true });
        else if (name === "--http-put-response-hop-limit") this.region.faults.clear();
        else throw new Error(command);
        return;
      }
      case "aws ec2 associate-iam-instance-profile":
        region.setRole(instanceId, "full");
        return;
      case "aws iam get-role":
        // Somebody looks at whom the role trusts.
        return;
      case "aws iam put-role-policy": {
        const document = option("policy-document").replaceAll("ALLOCATION_ID", this.chosen);
        this.#putPolicy(
          option("role-name"),
          option("policy-name"),
          JSON.parse(document) as PolicyDocument,
        );
        return;
      }
      case "aws sts decode-authorization-message":
        if (!Buffer.from(option("encoded-message"), "base64url").toString().startsWith("User: "))
          throw new Error(`${command}: an invalid message`);
        return;
      case "aws ec2 create-tags": {
        const { Key: key = "", Value: value = "" } = structureOf(option("tags"));
        const resource = option("resources").replace("ALLOCATION_ID", this.chosen);
        region.tag(resource, { [key]: value.replace("ALLOCATION_ID", this.chosen) });
        return;
      }
      case "aws autoscaling create-or-update-tags": {
        const { ResourceId = "", Key = "", Value = "", ...how } = structureOf(option("tags"));
        expect(how).toEqual({ ResourceType: "auto-scaling-group", PropagateAtLaunch: "true" });
        const value = Value.replace("ALLOCATION_ID", this.chosen);
        this.groupTags[ResourceId] = { ...this.groupTags[ResourceId], [Key]: value };
        return;
      }
      case "aws ec2 describe-addresses": {
        // Somebody looks at the list and takes one that is there; where nothing free is, they allocate one.
        const [, borderGroup] =
          /^Name=network-border-group,Values=(.+)$/.exec(option("filters")) ?? [];
        const isFree = this.region.holder(this.allocationId) === undefined;
        const isThere = region.address(this.allocationId).networkBorderGroup === borderGroup;
        this.chosen =
          borderGroup === undefined || (isFree && isThere)
            ? this.allocationId
            : region.allocate({ networkBorderGroup: borderGroup }).allocationId;
        return;
      }
      default:
        if (command === "systemctl restart chronyd") return;
        if (command !== "chronyc makestep")
          throw new Error(`nobody knows this command: ${command}`);
        this.offsetMs = 0;
        this.region.credentials.issue(instanceId);
    }
  }
}

/** A list of one structure, as the AWS CLI reads it: JSON, or its shorthand. */
function structureOf(text: string): Record<string, string> {
  const [fields = {}] = text.startsWith("[")
    ? (JSON.parse(text) as Record<string, string>[])
    : [Object.fromEntries(text.split(",").map((pair) => pair.split(/=(.*)/s).slice(0, 2)))];
  return Object.fromEntries(
    Object.entries(fields as Record<string, unknown>).map(([name, value]) => [name, String(value)]),
  );
}
