/** Somebody who does what doctor prints, literally, and nothing else. */
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import type { PolicyDocument } from "../../sim/iam.ts";
import type { Scene } from "../support/scenario.ts";
import { wordsOf } from "../support/words.ts";
import type { Check } from "./checkup.ts";

export class Operator {
  readonly #scene: Scene;
  /** The file of the authority that TLS certificates are by. */
  readonly #authority: string;
  /** The address that is chosen where a cure leaves the choice. */
  #chosen: string;
  /** Tags of Auto Scaling groups, which the instances have that are launched from now on; null: removed. */
  readonly groupTags: Record<string, Record<string, string | null>> = {};
  /** What was put into the role, by name. */
  readonly #policies = new Map<string, PolicyDocument["Statement"]>();

  constructor(scene: Scene, authority = "") {
    this.#scene = scene;
    this.#authority = authority;
    this.#chosen = scene.allocationId;
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

  #set(place: string, name: string, value: string): void {
    if (place === "the environment") this.#scene.environment[name] = value;
    else if (place === this.#scene.confFile)
      this.#scene.conf = [...(this.#scene.conf ?? []), `${name}=${value}`];
    else throw new Error(`there is no place ${place}`);
  }

  #remove(place: string, name: string): void {
    if (place === "the environment") delete this.#scene.environment[name];
    else if (place === this.#scene.confFile)
      this.#scene.conf = this.#scene.conf?.filter((line) => !line.startsWith(`${name}=`));
    else throw new Error(`there is no place ${place}`);
  }

  #rename(place: string, name: string, meant: string): void {
    if (place !== this.#scene.confFile) throw new Error(`there is no place ${place}`);
    this.#scene.conf = this.#scene.conf?.map((line) => line.replace(`${name}=`, `${meant}=`));
  }

  /** Keeps the line of a setting that is meant. */
  #keep(place: string, name: string): void {
    if (place !== this.#scene.confFile) throw new Error(`there is no place ${place}`);
    const isMeant = (line: string) => line === `${name}=${this.#chosen}`;
    this.#scene.conf = this.#scene.conf?.filter(
      (line) => !line.startsWith(`${name}=`) || isMeant(line),
    );
  }

  /** A role has its policies by name: a second one of the same name takes the place of the first. */
  #putPolicy(role: string, name: string, policy: PolicyDocument): void {
    const { region } = this.#scene.region;
    const had = (region.role(role)?.grants ?? []).flatMap((grant) => grant.policy.Statement);
    const before = this.#policies.get(name) ?? [];
    const others = had.filter((statement) => !before.includes(statement));
    this.#policies.set(name, policy.Statement);
    region.setPolicy(role, { Statement: [...others, ...policy.Statement] });
  }

  /** The role trusts EC2, by the name that it has in this partition; IAM takes no other. */
  #trust(statement: unknown): void {
    const { name } = this.#scene.region.region;
    const Service = name.startsWith("cn-") ? "ec2.amazonaws.com.cn" : "ec2.amazonaws.com";
    const principal = { Effect: "Allow", Principal: { Service }, Action: "sts:AssumeRole" };
    if (!isDeepStrictEqual(statement, principal)) throw new Error("an invalid principal");
    this.#scene.region.region.setCredentials(this.#scene.me.role ?? "", { broken: null });
  }

  /** The sentences that are instructions without a command. The first that fits counts. */
  #sentences(found: string): [RegExp, (...parts: string[]) => void][] {
    const [, named = "", where = ""] = /(EIP_HEAL_\w+) in (.+?) is /.exec(found) ?? [];
    return [
      [
        /remove (\w+) from (the environment|\S+?)(?:,|$)/,
        (name, place) => this.#remove(place, name),
      ],
      [/set it to what is accepted: an allocation id/, () => this.#set(where, named, this.#chosen)],
      [/set it to what is accepted: ([^,]+)/, (value) => this.#set(where, named, value)],
      [
        /correct that line, or remove it/,
        () => {
          const line = Number(/, line (\d+):/.exec(found)?.[1]);
          this.#scene.conf?.splice(line - 1, 1);
        },
      ],
      [/make (\S+) a file that everybody may read/, () => (this.#scene.conf = [])],
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
            delete this.#scene.environment[name];
        },
      ],
      [
        /set (EIP_HEAL_ALLOCATION_ID) to the allocation id of that address in (the environment|\S+)/,
        (name, place) => this.#set(place, name, this.#chosen),
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
        (name) => this.#set(this.#scene.confFile, name, this.#authority),
      ],
      [
        /add (\{.+\}) to the statements of its trust policy;.* replaces the one that is there/,
        (text) => this.#trust(JSON.parse(text)),
      ],
      [
        /rename (\w+) to (EIP_HEAL_\w+) in (the environment|[^\s,]+), or remove it there/,
        (name, meant, place) => this.#rename(place, name, meant),
      ],
      [
        /^keep one line with (\w+) in (\S+): the last one, or the one that is meant/,
        (name, place) => this.#keep(place, name),
      ],
      [/^wait: EC2 limits/, () => this.#scene.region.faults.clear()],
      [/let HTTPS pass it untouched/, () => this.#scene.region.faults.clear()],
    ];
  }

  #execute(command: string): void {
    const { region } = this.#scene.region;
    const { instanceId } = this.#scene.me;
    const [program = "", service = "", action = "", ...rest] = wordsOf(command);
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
        else if (name === "--http-put-response-hop-limit") this.#scene.region.faults.clear();
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
        const document = option("policy-document").replaceAll("ALLOCATION_ID", this.#chosen);
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
        const resource = option("resources").replace("ALLOCATION_ID", this.#chosen);
        region.tag(resource, { [key]: value.replace("ALLOCATION_ID", this.#chosen) });
        return;
      }
      case "aws ec2 delete-tags": {
        const { Key: key = "" } = structureOf(option("tags"));
        region.tag(option("resources"), { [key]: null });
        return;
      }
      case "aws autoscaling delete-tags": {
        const { ResourceId = "", ResourceType, Key = "" } = structureOf(option("tags"));
        expect(ResourceType).toBe("auto-scaling-group");
        this.groupTags[ResourceId] = { ...this.groupTags[ResourceId], [Key]: null };
        return;
      }
      case "aws autoscaling create-or-update-tags": {
        const { ResourceId = "", Key = "", Value = "", ...how } = structureOf(option("tags"));
        expect(how).toEqual({ ResourceType: "auto-scaling-group", PropagateAtLaunch: "true" });
        const value = Value.replace("ALLOCATION_ID", this.#chosen);
        this.groupTags[ResourceId] = { ...this.groupTags[ResourceId], [Key]: value };
        return;
      }
      case "aws ec2 describe-addresses": {
        // Somebody looks at the list and takes one that is there; where nothing free is, they allocate one.
        const [, borderGroup] =
          /^Name=network-border-group,Values=(.+)$/.exec(option("filters")) ?? [];
        const isFree = this.#scene.region.holder(this.#scene.allocationId) === undefined;
        const isThere = region.address(this.#scene.allocationId).networkBorderGroup === borderGroup;
        this.#chosen =
          borderGroup === undefined || (isFree && isThere)
            ? this.#scene.allocationId
            : region.allocate({ networkBorderGroup: borderGroup }).allocationId;
        return;
      }
      default:
        if (command === "systemctl restart chronyd") return;
        if (command !== "chronyc makestep")
          throw new Error(`nobody knows this command: ${command}`);
        this.#scene.offsetMs = 0;
        this.#scene.region.credentials.issue(instanceId);
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
