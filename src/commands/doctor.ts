/**
 * The story of a checkup: everything that has to be true for a heal to work, looked at without changing
 * anything. What a heal would do is not guessed: the same functions decide.
 */
import { judge, type Check, CHECKS, type CheckId, type Verdict } from "../core/checkup.ts";
import { correctionOf } from "../core/correction.ts";
import {
  decide,
  type Decision,
  describeState,
  gate,
  TAKEOVERS,
  UNKNOWN_FOR_MS,
} from "../core/decide.ts";
import { EXIT, Failure } from "../core/failure.ts";
import { borderGroupOf, isIpv4 } from "../core/ids.ts";
import { statusOf } from "../core/pacing.ts";
import { placeOn } from "../core/place.ts";
import { choose } from "../core/pool.ts";
import * as remedies from "../core/remedies.ts";
import { nameAddress, seconds } from "../core/report.ts";
import type { Settings } from "../core/settings.ts";
import type { HolderInstance, Look, Place, Self, View, Wanted } from "../core/view.ts";
import { displacement, type Former, nameElastic } from "../displacement.ts";
import { nameWanted } from "../heal.ts";
import { limitOf, type Run } from "../run.ts";
import { Blocked, examine, failing, ok, type Examinations, type Need } from "./examination.ts";
import { findingOfTimer, findingOfUnit } from "./units.ts";
import type { DoctorPorts, Endpoint, OpenMetadata, Parts, Signer, TryableEc2 } from "./ports.ts";

/** Milliseconds that all checks together may take. */
const LIMIT_MS = 12_000;

/** A clock that is wrong by this much, in milliseconds, is worth a warning: EC2 refuses signatures from 15 min on. */
const CLOCK_WARNING_MS = 60_000;

/** What the checks learn for each other. */
interface Values extends Record<CheckId, unknown> {
  settings: { settings: Settings; parts: Parts };
  metadata: OpenMetadata;
  identity: Self;
  "in-service": undefined;
  interface: Place;
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
  wanted: Wanted | undefined;
  address: { view: View; choice?: Decision; look: Look };
  holder: { view: View; decision: Decision };
  displaced: undefined;
  associate: undefined;
  unit: undefined;
  recheck: undefined;
  versions: undefined;
}

export interface Checkup {
  readonly checks: readonly Check[];
  readonly verdict: Verdict;
}

/**
 * Makes all checks.
 *
 * @param tell is given each check in order as soon as it can be told, or undefined, with those that are still open
 * @param stop aborted when somebody wants it to end
 * @throws whatever is a bug
 */
export async function doctor(
  ports: DoctorPorts,
  tell: (check: Check | undefined, open: readonly CheckId[]) => void,
  stop: AbortSignal,
): Promise<Checkup> {
  const limit = limitOf(ports.clock, LIMIT_MS, stop);
  try {
    const order = CHECKS.map(([id]) => id);
    const checks = await examine<Values>(
      order,
      examinationsOf(ports, limit.signal),
      limit.signal,
      tell,
    );
    return { checks, verdict: judge(checks) };
  } finally {
    limit.release();
  }
}

function examinationsOf(ports: DoctorPorts, signal: AbortSignal): Examinations<Values> {
  const { clock, log, network, machine } = ports;

  // --- what several checks look at ---

  const once = <T>(work: (need: Need<Values>) => Promise<T>) => {
    let result: Promise<T> | undefined;
    return (need: Need<Values>) => (result ??= work(need));
  };
  /** The credentials, by the right time if EC2 has told it. */
  const sign = once(async (need) => {
    const metadata = await need("metadata");
    const role = await need("role");
    const tls = await unlessBlocked(need("tls"));
    return metadata.signer(role, tls?.offsetMs ?? 0);
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
    return nameWanted(runOf(settings), self, ec2);
  });
  const look = once(async (need) => {
    const wanted = await need("wanted");
    if (wanted === undefined) throw new Blocked(["wanted"]);
    const [ec2, here] = await Promise.all([need("ec2"), need("interface")]);
    return ec2.look(wanted, here);
  });

  function runOf(settings: Settings): Run {
    const identify = () => Promise.reject(new Error("a checkup stands on its own"));
    const facts = {};
    const run = { settings, dryRun: true, insist: false, signal, step: "checking", facts };
    return { ...run, hasActed: false, ports: { identify, stand: identify, clock, log } };
  }

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

  /** The command that lets the role do it; none for keys, whose owner we do not know. */
  async function grants(need: Need<Values>, action: string, resources: readonly string[]) {
    const role = await need("role");
    return role === undefined ? {} : { commands: [remedies.grant(role, action, resources)] };
  }

  return {
    async settings() {
      const { configured, settingsFile } = ports;
      if ("problems" in configured) {
        const [first = "", ...more] = configured.problems;
        const also = more.length === 0 ? "" : ` (and ${more.length} more: ${more.join("; ")})`;
        const { found, cure } = correctionOf(first, ports.placeOfSetting);
        return { mark: "failed", found: `${found}${also}`, cure, status: configured.status };
      }
      const { settings } = configured;
      let parts: Parts;
      try {
        parts = configured.parts();
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const [name] = /AWS_\w+/.exec(error.details.why) ?? [];
        return failing(
          error,
          error.details.cure ??
            (name && `correct ${name} in ${ports.placeOfSetting(name)}, or remove it there`),
        );
      }
      return ok(`${settingsFile}, environment and flags are in order`, { settings, parts });
    },

    async metadata(need) {
      const { parts } = await need("settings");
      try {
        const metadata = await parts.metadata(signal);
        return ok(`${parts.metadataUrl.host} answers, version 2`, metadata);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { code } = error;
        const variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        const self = { instanceId: machine.firmwareInstanceId() };
        if (code === "MetadataOff") {
          return failing(error, "switch it on, with the permissions of an administrator", [
            remedies.modifyMetadata(self, "--http-endpoint enabled"),
          ]);
        }
        const reached = code === "MetadataSilent" && (await isReached(parts.metadataUrl));
        if (reached) {
          return failing(
            error,
            "a connection is made and no token comes back: in a container, let its answer travel one hop more",
            [remedies.modifyMetadata(self, "--http-put-response-hop-limit 2")],
          );
        }
        return ports.variable(variable)
          ? failing(
              error,
              `${variable} is set: correct it in ${ports.placeOfSetting(variable)}, or remove it there`,
            )
          : failing(error);
      }
    },

    async identity(need) {
      const { settings } = await need("settings");
      const metadata = await need("metadata");
      const named = settings.allocationId !== undefined || settings.pool !== undefined;
      const [self, ownRegion] = await Promise.all([
        metadata.self(named ? [] : [settings.tag, settings.poolTag]),
        metadata.ownRegion(),
      ]);
      if (ownRegion !== undefined && ownRegion !== self.region) {
        return {
          mark: "failed",
          found: `AWS_REGION is ${self.region}, and ${self.instanceId} is in ${ownRegion}`,
          cure: `remove AWS_REGION from ${ports.placeOfSetting("AWS_REGION")}`,
          // Another region's own endpoint does not know the address; a given one refuses the signature.
          status: endpointVariable() === undefined ? EXIT.CONFIG : EXIT.NOPERM,
        };
      }
      return ok(`${self.instanceId} in ${self.zone}`, self);
    },

    async "in-service"(need) {
      const self = await need("identity");
      const because = gate(self);
      if (because !== undefined) {
        return {
          mark: "warning",
          found: `${because}: a heal leaves the address alone`,
          cure: "nothing, if that is meant; a heal is due once it is in service",
          idle: true,
          value: undefined,
        };
      }
      const { lifecycleState } = self;
      return ok(
        lifecycleState === undefined
          ? "it is in no Auto Scaling group, or in service"
          : `its Auto Scaling target state is ${lifecycleState}`,
        undefined,
      );
    },

    async interface(need) {
      const { settings } = await need("settings");
      const self = await need("identity");
      const here = placeOn(self, settings.interface, settings.privateIp);
      const others = self.interfaces.length - 1;
      const more = others === 0 ? "" : `, one of ${others + 1} interfaces`;
      return ok(`${here.interfaceId} ${here.privateIp}${more}`, here);
    },

    async tags(need) {
      const { settings } = await need("settings");
      const metadata = await need("metadata");
      if (settings.allocationId !== undefined || settings.pool !== undefined) {
        return ok("not needed: a setting names what is wanted", undefined);
      }
      if (await metadata.hasTags()) return ok("instance metadata shows them", undefined);
      const self = await need("identity");
      return {
        mark: "warning",
        found: "instance metadata shows none, so that EC2 has to be asked (ec2:DescribeInstances)",
        cure: "turn them on, here and in the launch template",
        commands: [remedies.modifyMetadata(self, "--instance-metadata-tags enabled")],
        value: undefined,
      };
    },

    async endpoint(need) {
      const { parts } = await need("settings");
      const self = await need("identity");
      const endpoints = parts.endpoints(self);
      const results = await Promise.allSettled(
        endpoints.map(async (endpoint) => {
          const host = endpoint.url.hostname.replace(/^\[|\]$/g, "");
          const addresses =
            isIpv4(host) || host.includes(":") ? [host] : await network.resolve(host, signal);
          return { endpoint, addresses };
        }),
      );
      const found = results.flatMap((result) =>
        result.status === "fulfilled" ? [result.value] : [],
      );
      if (found.length === 0) {
        const [first] = results;
        const reason: unknown = first?.status === "rejected" ? first.reason : undefined;
        if (!(reason instanceof Failure)) throw reason;
        const variable = endpointVariable();
        return failing(
          reason,
          variable === undefined
            ? `is ${self.region} the right region, and may this instance ask the DNS of its VPC (enableDnsSupport)?`
            : `${variable} is set: correct it in ${ports.placeOfSetting(variable)}, or remove it there`,
        );
      }
      return ok(
        found
          .map(({ endpoint, addresses }) => {
            const [first = ""] = addresses;
            return first === endpoint.url.hostname
              ? first
              : `${endpoint.url.host} is ${addresses.join(", ")}`;
          })
          .join("; "),
        found.map(({ endpoint }) => endpoint),
      );
    },

    async route(need) {
      const { parts } = await need("settings");
      const self = await need("identity");
      const endpoints = await need("endpoint");
      let last: unknown;
      for (const endpoint of endpoints) {
        try {
          const address = await network.connect(endpoint.url, signal);
          const lack = parts.wayOut(self);
          const by = isPrivate(address)
            ? "by a private address, such as an interface endpoint's"
            : lack === undefined
              ? "by the public IPv4 address of this instance"
              : address.includes(":")
                ? "by IPv6"
                : "by a NAT: this instance has no public IPv4 address";
          return ok(`${endpoint.url.host} accepts connections at ${address}, ${by}`, endpoint);
        } catch (error) {
          last = error;
        }
      }
      if (!(last instanceof Failure)) throw last;
      const variable = endpointVariable();
      return failing(
        last,
        parts.wayOut(self) !== undefined && variable === undefined
          ? parts.wayOut(self)
          : variable === undefined
            ? "let the security group, the network ACL and the route table of the subnet pass HTTPS (443) to it"
            : `${variable} is set: correct it in ${ports.placeOfSetting(variable)}, or remove it there`,
      );
    },

    async tls(need) {
      const endpoint = await need("route");
      const askedAt = clock.date().getTime();
      const { protocol, date } = await network.greet(endpoint.url, signal);
      // The header has whole seconds; half of the time of the question is the network's.
      const offsetMs =
        date === undefined ? 0 : date.getTime() + 500 - (askedAt + clock.date().getTime()) / 2;
      return ok(`${endpoint.url.host} speaks ${protocol}`, {
        endpoint,
        offsetMs,
        ...(date && { date }),
      });
    },

    async clock(need) {
      const { date, offsetMs } = await need("tls");
      if (date === undefined) {
        return { mark: "warning", found: "EC2 has not told the time", value: undefined };
      }
      const off = Math.abs(offsetMs);
      const told = `it is ${seconds(off)} ${offsetMs > 0 ? "behind" : "ahead of"} EC2's`;
      if (off < CLOCK_WARNING_MS) {
        return ok(off < 2_000 ? "it agrees with EC2's to the second" : told, undefined);
      }
      const cure = "let chrony set it from the Amazon Time Sync Service (169.254.169.123)";
      const commands = ["systemctl restart chronyd", "chronyc makestep"];
      // A heal believes its own clock; credentials that are good may look expired by it.
      const isFatal = await believesExpired(need, offsetMs);
      return isFatal
        ? {
            mark: "failed",
            found: `${told}, so that the credentials look expired here and are not`,
            cure,
            commands,
            status: EXIT.NOPERM,
          }
        : {
            mark: "warning",
            found: `${told}; a heal corrects its signatures`,
            cure,
            commands,
            value: undefined,
          };
    },

    async role(need) {
      const { parts } = await need("settings");
      if (parts.hasKeys) return ok("not needed: keys are set in the environment", undefined);
      const metadata = await need("metadata");
      const role = await metadata.role();
      if (role !== undefined) return ok(role, role);
      const self = await need("identity");
      return {
        mark: "failed",
        found: "this instance has no role",
        cure: "attach an instance profile whose role allows the calls (/usr/share/doc/eip-heal/iam-policy.json)",
        commands: [remedies.attachProfile(self)],
        status: EXIT.NOPERM,
      };
    },

    async credentials(need) {
      const role = await need("role");
      let signer: Signer;
      try {
        signer = await sign(need);
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== "AssumeRoleUnauthorizedAccess")
          throw error;
        return failing(error, undefined, role === undefined ? [] : [remedies.trust(role)]);
      }
      const { source, expiresAt } = signer;
      const until =
        expiresAt === undefined ? "" : `, until ${expiresAt.toISOString().replace(".000Z", "Z")}`;
      const answer = await unlessBlocked(ask(need));
      if (answer === undefined) return ok(`of ${source}${until}; EC2 was not asked`, signer);
      const { refusal } = answer;
      if (refusal?.kind === "denied" && !isRefusal(refusal)) {
        return failing(
          refusal,
          (await need("settings")).parts.hasKeys
            ? `correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in ${ports.placeOfSetting("AWS_ACCESS_KEY_ID")}, or remove them there to use the instance role`
            : undefined,
        );
      }
      return ok(`of ${source}${until}`, signer);
    },

    async ec2(need) {
      await Promise.all([need("credentials"), need("clock")]);
      const { ec2, refusal } = await ask(need);
      if (refusal !== undefined && !isRefusal(refusal)) {
        return failing(
          refusal,
          refusal.kind === "throttled"
            ? "wait: EC2 limits the requests of the account"
            : /without an answer of EC2/.test(refusal.details.why)
              ? "something between here and EC2 answers in its place: let HTTPS pass it untouched"
              : undefined,
        );
      }
      return ok("answers", ec2);
    },

    async "describe-addresses"(need) {
      await need("ec2");
      const { refusal } = await ask(need);
      if (refusal === undefined) return ok("allowed", undefined);
      const wanted = await quietly(want(need));
      const how = await grants(need, "DescribeAddresses", ["*"]);
      if (wanted instanceof Failure || wanted?.kind !== "pool") {
        return {
          mark: "warning",
          found: `${refusal.details.why}; one fixed address can do without, but what is not an instance stays unseen`,
          ...(refusal.details.cure !== undefined && { cure: refusal.details.cure }),
          ...how,
          value: undefined,
        };
      }
      return failing(refusal, undefined, how.commands);
    },

    async "describe-instances"(need) {
      const refusal = await mayDescribeInstances(need);
      if (refusal === undefined) return ok("allowed", undefined);
      if (!isRefusal(refusal)) return failing(refusal);
      const how = await grants(need, "DescribeInstances", ["*"]);
      const uses = [await quietly(want(need)), await quietly(look(need))];
      if (uses.some((use) => use instanceof Failure && isRefusal(use))) {
        return failing(refusal, undefined, how.commands);
      }
      return {
        mark: "warning",
        found: `${refusal.details.why}; needed as soon as another instance holds the address`,
        ...(refusal.details.cure !== undefined && { cure: refusal.details.cure }),
        ...how,
        value: undefined,
      };
    },

    async wanted(need) {
      const { settings } = await need("settings");
      const self = await need("identity");
      try {
        const wanted = await want(need);
        const by =
          settings.allocationId !== undefined
            ? "EIP_HEAL_ALLOCATION_ID"
            : settings.pool !== undefined
              ? "EIP_HEAL_POOL"
              : `the tag ${wanted.kind === "pool" ? wanted.key : settings.tag}`;
        return ok(`${nameOf(wanted)}, by ${by}`, wanted);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (isRefusal(error)) throw new Blocked(["describe-instances"]);
        if (statusOf(error) === EXIT.OK) {
          return {
            mark: "warning",
            found: `${error.details.why}, and EIP_HEAL_OPTIONAL is yes`,
            idle: true,
            value: undefined,
          };
        }
        const hasNoValue = error.code === "NoTag" || error.kind === "misconfigured";
        return failing(
          error,
          error.code === "NoTag"
            ? `tag this instance, and its Auto Scaling group for those to come; or set EIP_HEAL_ALLOCATION_ID`
            : undefined,
          hasNoValue ? [remedies.tagInstance(self, settings.tag)] : [],
        );
      }
    },

    async address(need) {
      const { settings } = await need("settings");
      const self = await need("identity");
      const here = await need("interface");
      const wanted = await need("wanted");
      if (wanted === undefined) throw new Blocked(["wanted"]);
      const borderGroup = borderGroupOf(self.zone);
      let seen: Look;
      try {
        seen = await look(need);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (isRefusal(error)) {
          throw new Blocked([wanted.kind === "pool" ? "describe-addresses" : "describe-instances"]);
        }
        if (error.code !== "InvalidAllocationID.NotFound") throw error;
        const { say, commands } = await nameAnother(need);
        return failing(
          error,
          `it was released, or is in another region or account: choose one that is here, then ${say}`,
          [remedies.listAddresses(self.region), ...commands],
        );
      }

      if (wanted.kind === "pool") {
        const choice = choose(here, self.zone, seen.views, new Set(), () => UNKNOWN_FOR_MS);
        if (choice.view === undefined) {
          return {
            mark: "failed",
            found: `${nameOf(wanted)}: ${choice.why}`,
            cure: "add an address to the pool, or let another instance go",
            commands: [remedies.allocate(self.region, borderGroup, wanted)],
            status: EXIT.TEMPFAIL,
          };
        }
        const { view, decision } = choice;
        const count = seen.views.length;
        return ok(`${nameAddress(view.allocationId, view.publicIp)}, one of ${count} in the pool`, {
          view,
          choice: decision,
          look: seen,
        });
      }

      const [view] = seen.views;
      if (view === undefined) throw new Error("a look at an address without a view");
      // The rule itself says whether the place is out of the question whoever holds it.
      const free = decide(
        here,
        self.zone,
        { ...view, holder: { kind: "nobody" } },
        settings.takeover,
        0,
      );
      if (free.do === "refuse") {
        const { say, commands } = await nameAnother(need);
        return {
          mark: "failed",
          found: free.because,
          cure: `${free.cure}, then ${say}`,
          commands: [remedies.allocate(self.region, borderGroup), ...commands],
          status: EXIT.CONFIG,
        };
      }
      const group = view.borderGroup === undefined ? "" : `, in ${view.borderGroup}`;
      return ok(`${nameAddress(view.allocationId, view.publicIp)}${group}`, { view, look: seen });
    },

    async holder(need) {
      const { settings } = await need("settings");
      const self = await need("identity");
      const here = await need("interface");
      const { view, choice } = await need("address");
      const rule = (takeover: Settings["takeover"]) =>
        decide(here, self.zone, view, takeover, UNKNOWN_FOR_MS);
      const decision = choice ?? rule(settings.takeover);
      const value = { view, decision };
      switch (decision.do) {
        case "settled":
          return ok("this instance, in the right place: a heal changes nothing", value);
        case "confirm":
          return ok(`${nameOf(decision.holder)}, this one: a heal makes sure of the place`, value);
        case "associate":
          return ok("nobody: a heal associates it", value);
        case "take":
          return ok(
            `${nameOf(decision.from)}: a heal takes it, because ${decision.because}`,
            value,
          );
        case "refuse": {
          const { say, commands } = await nameAnother(need);
          return {
            mark: "failed",
            found: decision.because,
            cure: `${decision.cure}, then ${say}`,
            commands: [remedies.allocate(self.region, borderGroupOf(self.zone)), ...commands],
            status: EXIT.CONFIG,
          };
        }
        case "wait":
        case "yield": {
          const holder = decision.do === "wait" ? decision.from : decision.to;
          const policy = TAKEOVERS.find((one) => rule(one).do === "take");
          const set = `set EIP_HEAL_TAKEOVER=${policy} in ${ports.placeOfSetting("EIP_HEAL_TAKEOVER")}`;
          return {
            mark: "failed",
            found:
              decision.do === "yield" ? decision.because : `${nameOf(holder)}: ${decision.because}`,
            cure:
              policy === undefined
                ? "look again in a minute"
                : decision.do === "yield"
                  ? `nothing, if ${holder.instanceId} is to have it; if two groups want this address, give each its own; only where instances may take it from each other ${set}`
                  : `let ${holder.instanceId} go, or ${set}`,
            status: decision.do === "yield" ? EXIT.UNAVAILABLE : EXIT.TEMPFAIL,
          };
        }
      }
    },

    async displaced(need) {
      const { settings } = await need("settings");
      const here = await need("interface");
      const ec2 = await need("ec2");
      const { view, decision } = await need("holder");
      const { publicIp } = here;
      if (publicIp === undefined || publicIp === view.publicIp || decision.do === "settled") {
        return ok("nothing", undefined);
      }
      let former: Former | undefined;
      try {
        former = await displacement(runOf(settings))(here, { ec2 }).before(view, false);
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== "misconfigured") throw error;
        const place = ports.placeOfSetting("EIP_HEAL_DISPLACE");
        return failing(
          error,
          `set EIP_HEAL_DISPLACE=yes in ${place}, or give another place by EIP_HEAL_INTERFACE or EIP_HEAL_PRIVATE_IP`,
        );
      }
      if (former?.elastic === undefined) {
        return ok(`${publicIp}, which EC2 has assigned by itself and takes back`, undefined);
      }
      return {
        mark: "warning",
        found: `another Elastic IP, ${nameElastic(former.elastic)}, is on ${here.interfaceId} ${here.privateIp}; a heal pushes it off, and it stays allocated`,
        cure: "nothing, if that is meant; else set EIP_HEAL_DISPLACE=no",
        value: undefined,
      };
    },

    async associate(need) {
      const self = await need("identity");
      const here = await need("interface");
      const ec2 = await need("ec2");
      const { view } = await need("address");
      const refusal = await refusalOf(ec2.mayAssociate(view.allocationId, here));
      if (refusal === undefined) return ok("allowed", undefined);
      if (!isRefusal(refusal)) return failing(refusal);
      const account = await (await need("metadata")).account();
      const resources = remedies.resourcesOf(view.allocationId, here, self.region, account);
      const { commands } = await grants(need, "AssociateAddress", resources);
      const cure = `allow ec2:AssociateAddress on ${resources.join(" and ")} in the policy of the instance role`;
      const held = await unlessBlocked(need("holder"));
      return held?.decision.do === "settled"
        ? {
            mark: "warning",
            found: `${refusal.details.why}; not needed while the address is here`,
            cure,
            ...(commands && { commands }),
            value: undefined,
          }
        : failing(refusal, cure, commands);
    },

    async unit() {
      const unit = await machine.unit("eip-heal.service", signal);
      if (unit === undefined)
        return ok("no systemd here: something else has to run eip-heal at every boot", undefined);
      return findingOfUnit(unit, ports.isGiven);
    },

    async recheck() {
      const timer = await machine.unit("eip-heal-recheck.timer", signal);
      return findingOfTimer(timer);
    },

    versions: () => Promise.resolve(ok(machine.versions, undefined)),
  };

  async function isReached(url: URL): Promise<boolean> {
    try {
      await network.connect(url, signal);
      return true;
    } catch {
      return false;
    }
  }

  function endpointVariable(): string | undefined {
    return ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"].find((name) => ports.variable(name));
  }

  /** Would a heal, by this machine's own clock, call credentials expired that are not? */
  async function believesExpired(need: Need<Values>, offsetMs: number): Promise<boolean> {
    const metadata = await need("metadata");
    const role = await need("role");
    const signer = await quietly(sign(need));
    if (signer instanceof Failure || signer === undefined) return false;
    return offsetMs < 0 && (await quietly(metadata.signer(role, 0))) instanceof Failure;
  }
}

/** For a wanted address that is known without EC2. */
const NO_EC2 = { tags: () => Promise.reject(new Error("EC2 was asked for what is known")) };

/** What somebody else's failure comes to, without failing of it. */
async function quietly<T>(work: Promise<T>): Promise<T | Failure | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Failure) return error;
    if (error instanceof Blocked) return undefined;
    throw error;
  }
}

async function unlessBlocked<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Blocked) return undefined;
    throw error;
  }
}

/** The failure of a dry run; undefined if EC2 would do it. */
async function refusalOf(work: Promise<void>): Promise<Failure | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

/** Does a policy lack this, or is something else wrong? */
function isRefusal({ kind, code }: Failure): boolean {
  return (
    kind === "denied" &&
    (code === "UnauthorizedOperation" || code?.startsWith("AccessDenied") === true)
  );
}

function nameOf(what: Wanted | HolderInstance): string {
  switch (what.kind) {
    case "address":
      return what.allocationId;
    case "pool":
      return `the pool ${what.key}=${what.value}`;
    case "instance":
      return `${what.instanceId} (${describeState(what)})`;
  }
}

/** Is it an address that only its own network knows (RFC 1918, RFC 4193, loopback)? */
function isPrivate(address: string): boolean {
  return /^(10\.|127\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd]|::1$)/i.test(address);
}
