/**
 * The mistakes that people make, one by one: the first line of the log names the cause, the first failure of doctor is the
 * right one, and its cure, pasted, makes this instance heal and the next one of its group as well.
 */
import { describe, expect, test } from "vitest";
import { allow } from "../../sim/iam.ts";
import { type AgentRun, runAgent } from "../support/agent.ts";
import {
  ALL,
  conf,
  environment,
  fullPool,
  heldBy,
  HOUR,
  inGroup,
  MINE,
  NOT_THERE,
  tag,
} from "./changes.ts";
import { type Scene, scenario, type Start } from "../support/scenario.ts";
import { doctor } from "./checkup.ts";
import { Operator } from "./operator.ts";

interface Mistake {
  readonly name: string;
  readonly start?: Start;
  readonly breakIt: (scene: Scene) => void;
  /** How the heal ends, and the first line that it logs. */
  readonly status: number;
  readonly line: RegExp;
  /** The first check that fails, and what it says or what its cure is. */
  readonly first: string;
  readonly says: RegExp;
}

const twoInPool: Start = {
  address: { tags: { "eip-pool": "web" } },
  build: (world) => void world.address({ tags: { "eip-pool": "web" } }),
};
const withTag = (value: (scene: Scene) => string) => (scene: Scene) =>
  tag({ "allocation-id": value(scene) })(scene);
const AN_ID = "eipalloc-0123456789abcdef0";

const MISTAKES: readonly Mistake[] = [
  {
    name: "the tag holds the address, misspelt",
    breakIt: withTag(() => "203.0.113.9"),
    status: 78,
    line: /^no Elastic IP 203\.0\.113\.9 in us-east-1; did you mean 203\.0\.113\.1\? was it released/,
    first: "address",
    says: /^did you mean 203\.0\.113\.1\? it was released, or is in another region or account/,
  },
  {
    name: "the tag holds the private address",
    breakIt: withTag(() => "10.0.0.4"),
    status: 78,
    line: /^FAILED \(78\): the tag allocation-id is "10\.0\.0\.4"/,
    first: "wanted",
    says: /or the public IPv4 address itself, which 10\.0\.0\.4 cannot be/,
  },
  {
    name: "the tag holds an association id",
    breakIt: withTag(() => "eipassoc-0123456789abcdef0"),
    status: 78,
    line: /^FAILED \(78\): the tag allocation-id is "eipassoc-0123456789abcdef0"/,
    first: "wanted",
    says: /not an association id, which changes with every move/,
  },
  {
    name: "the tag holds two addresses",
    breakIt: withTag(({ allocationId }) => `${allocationId},${AN_ID}`),
    status: 78,
    line: /^FAILED \(78\): the tag allocation-id is "eipalloc-\w+,eipalloc-\w+"/,
    first: "wanted",
    says: /at most one address without a place/,
  },
  {
    name: "the tag of the pool holds an address",
    breakIt: tag({ "allocation-id": null, "eip-pool": AN_ID }),
    status: 78,
    line: /^FAILED \(78\): the tag eip-pool is "eipalloc-\w+", on i-\w+; it takes the value of the same tag/,
    first: "wanted",
    says: /name an address by the tag allocation-id, or set EIP_HEAL_POOL to a list$/,
  },
  {
    name: "the tag holds an ARN",
    breakIt: withTag(({ allocationId }) => `arn:aws:ec2:us-east-1:1:elastic-ip/${allocationId}`),
    status: 78,
    line: /^FAILED \(78\): the tag allocation-id is "arn:aws:ec2:us-east-1:1:elastic-ip\//,
    first: "wanted",
    says: /did you mean eipalloc-\w+\?/,
  },
  {
    name: "the group has the tag and does not propagate it",
    breakIt: tag({ "allocation-id": null }),
    status: 78,
    line: /^no tag allocation-id or eip-pool \(yet\) on i-\w+; tag the Auto Scaling group web with /,
    first: "wanted",
    says: /^tag this instance with allocation-id, and its Auto Scaling group web for those to come/,
  },
  ...["Allocation-Id", "allocation_id", "allocationid", "eip-allocation-id", "ElasticIp"].map(
    (key): Mistake => ({
      name: `the key of the tag is ${key}`,
      breakIt: (scene) => tag({ "allocation-id": null, [key]: scene.allocationId })(scene),
      status: 78,
      line: new RegExp(`^no tag allocation-id .*; did you mean its tag ${key}\\? `),
      first: "wanted",
      says: new RegExp(`^did you mean its tag ${key}\\? `),
    }),
  ),
  {
    name: "the address is of another region",
    breakIt: withTag(() => NOT_THERE),
    status: 78,
    line: new RegExp(`^no address ${NOT_THERE} in us-east-1; was it released, or is it in another`),
    first: "address",
    says: /it was released, or is in another region or account/,
  },
  {
    name: "the role may not associate",
    breakIt: ({ region, me }) => region.region.setPolicy(me.role ?? "", allow(ALL.slice(0, 2))),
    status: 77,
    line: /^not allowed: ec2:AssociateAddress on arn:/,
    first: "associate",
    says: /eip-heal policy/,
  },
  {
    name: "a key of the settings is misspelt",
    breakIt: conf("EIP_HEAL_TAKOVER=never"),
    status: 78,
    line: /^FAILED \(78\): unknown setting EIP_HEAL_TAKOVER in \S+; did you mean EIP_HEAL_TAKEOVER\?/,
    first: "settings",
    says: /give it its right name: EIP_HEAL_TAKEOVER$/,
  },
  {
    name: "a value of the settings is misspelt",
    breakIt: conf("EIP_HEAL_TAKEOVER=newst"),
    status: 78,
    line: /^FAILED \(78\): EIP_HEAL_TAKEOVER in \S+ is "newst"; did you mean newest\?/,
    first: "settings",
    says: /^set it to what is accepted: newest, or one of: /,
  },
  {
    name: "an interface that is not there",
    breakIt: conf("EIP_HEAL_INTERFACE=1"),
    status: 78,
    line: /^no network interface 1 on i-\w+; set EIP_HEAL_INTERFACE to one of: 0 \(eni-/,
    first: "interface",
    says: /^set EIP_HEAL_INTERFACE in \S+ to one of: 0 \(eni-\w+, /,
  },
  {
    name: "the name of the pool is misspelt, in the tag",
    start: twoInPool,
    breakIt: tag({ "allocation-id": null, "eip-pool": "wbe" }),
    status: 75,
    line: /^no address carries that tag \(the pool eip-pool=wbe\)/,
    first: "address",
    says: /^did you mean web\? correct the tag eip-pool of this instance, and of its Auto Scaling group web/,
  },
  {
    name: "the name of the pool is misspelt, in the settings",
    start: twoInPool,
    breakIt: conf("EIP_HEAL_POOL=eip-pool=wbe"),
    status: 75,
    line: /^no address carries that tag \(the pool eip-pool=wbe\)/,
    first: "address",
    says: /^did you mean web\? set EIP_HEAL_POOL=eip-pool=web in /,
  },
  {
    name: "the tag that names the address ends in a blank",
    start: { address: { tags: { Name: "mail " } } },
    breakIt: conf("EIP_HEAL_ADDRESS_TAG=Name=mail"),
    status: 78,
    line: /^no address with the tag Name=mail in us-east-1/,
    first: "address",
    says: /^tag the address with Name=mail$/,
  },
];

describe.concurrent("a mistake", { timeout: 120_000 }, () => {
  test.each(MISTAKES)("$name", ({ start, breakIt, status, line, first, says }) =>
    scenario({ start: { ...start, ...inGroup }, breakIt }, async (scene) => {
      const before = tagsOf(scene);
      const operator = new Operator(scene);
      const failed = await scene.run("--deadline", "20s");
      expect(failed.status, failed.log.join("\n")).toBe(status);
      expect(failed.log[0]).toMatch(line);
      expect(failed.log.at(-1)).toMatch(new RegExp(`^FAILED \\(${status}\\): `));
      expect(failed.log.at(-1)).toMatch(/; run: eip-heal doctor$/);

      const checkup = await doctor(scene);
      expect(checkup.first, JSON.stringify(checkup, null, 1)).toBe(first);
      const check = checkup.checks.find(({ mark }) => mark === "failed");
      expect(check?.cure).toMatch(says);
      expect(check?.commands?.join("\n") ?? "").not.toContain("allocate-address");
      if (check !== undefined) operator.follow(check);
      const healed = await scene.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);

      await expectNextHeals(scene, { ...before, ...operator.groupTags["web"] });
    }),
  );
});

interface Oddity {
  readonly name: string;
  readonly breakIt: (scene: Scene) => void;
  /** The first line that a run logs. */
  readonly line: RegExp;
  /** The check that warns, and of what. */
  readonly check: string;
  readonly found: RegExp;
  /** How a heal ends on the next instance of the group, once it is cured; default: settled. */
  readonly next?: string;
}

const MISSPELT = ["TAKEOVER=never", "eip_heal_takeover=never", "EIPHEAL_TAKEOVER=never"];

const ODDITIES: readonly Oddity[] = [
  ...MISSPELT.map((setting): Oddity => {
    const [key = ""] = setting.split("=");
    const told = new RegExp(`^${key} in \\S+ is ignored; did you mean EIP_HEAL_TAKEOVER\\?$`);
    const breakIt = conf(setting);
    // What was meant counts from then on: nothing is taken.
    return { name: setting, breakIt, line: told, check: "settings", found: told, next: "failed" };
  }),
  {
    name: "a key given twice",
    breakIt: (scene) => {
      const other = scene.region.region.allocate({}).allocationId;
      conf(...[scene.allocationId, other].map((id) => `EIP_HEAL_ALLOCATION_ID=${id}`))(scene);
    },
    line: /^EIP_HEAL_ALLOCATION_ID is given more than once in \S+, and only the last one counts$/,
    check: "settings",
    found: /^EIP_HEAL_ALLOCATION_ID is given more than once in \S+, and only the last one counts$/,
  },
  {
    name: "both tags",
    breakIt: tag({ "eip-pool": "web" }),
    line: /^the tag allocation-id counts, and eip-pool=web is ignored: i-\w+ has both; remove one of them$/,
    check: "wanted",
    found:
      /^eipalloc-\w+, by the tag allocation-id; the tag eip-pool=web is there too, and is ignored$/,
  },
];

describe.concurrent("a mistake that nothing fails of is a warning in log and doctor", () => {
  test.each(ODDITIES)("$name", ({ breakIt, line, check, found, next = "settled" }) =>
    scenario({ start: inGroup, breakIt }, async (scene) => {
      const before = tagsOf(scene);
      const operator = new Operator(scene);
      const odd = await scene.run();
      expect(odd.status, odd.log.join("\n")).toBe(0);
      expect(odd.log[0]).toMatch(line);

      const { healthy, checks } = await doctor(scene);
      expect(healthy).toBe(true);
      const warning = checks.find(({ mark }) => mark !== "ok");
      expect(warning).toMatchObject({ id: check, mark: "warning" });
      expect(warning?.found).toMatch(found);
      if (warning !== undefined) operator.follow(warning);
      const healed = await scene.run();
      expect(healed.log[0]).not.toMatch(line);
      expect(healed.result).toMatchObject({ outcome: "settled", allocationId: scene.allocationId });
      expect((await doctor(scene)).checks.find(({ id }) => id === check)?.mark).toBe("ok");

      const tags = { ...before, ...operator.groupTags["web"] };
      const run = await healNext(scene, tags, "--deadline", next === "failed" ? "2s" : "60s");
      expect(run.log[0]).not.toMatch(line);
      expect(run.result).toMatchObject({ outcome: next });
    }),
  );

  test.each(MISSPELT)("%s, offline", (setting) =>
    scenario({ breakIt: conf(setting) }, async (scene) => {
      const offline = await scene.run("check-config");
      expect(offline.log[0]).toMatch(/ is ignored; did you mean EIP_HEAL_TAKEOVER\?$/);
    }),
  );
});

describe.concurrent("blanks around a value are no part of it", () => {
  const POOL: Start = { address: { tags: { "eip-pool": "web" } } };
  test.each<[string, Start, (scene: Scene) => void]>([
    [
      "in the settings",
      {},
      (scene) =>
        conf(
          `EIP_HEAL_ALLOCATION_ID= ${scene.allocationId} \t`,
          "EIP_HEAL_TAKEOVER=newest ",
        )(scene),
    ],
    ["in the settings of a pool", POOL, conf('EIP_HEAL_POOL="eip-pool=web "')],
    ["in the environment", {}, environment({ EIP_HEAL_TAKEOVER: "newest " })],
    ["in the tag", {}, withTag(({ allocationId }) => ` ${allocationId}  `)],
    ["in the tag of a pool", POOL, tag({ "allocation-id": null, "eip-pool": "web " })],
  ])("%s", (_, start, breakIt) =>
    scenario({ start, breakIt }, async (scene) => {
      const healed = await scene.run();
      expect(healed.status, healed.log.join("\n")).toBe(0);
      expect(healed.log).toEqual([expect.stringMatching(/^associated /)]);
      expect(healed.result).toMatchObject({ allocationId: scene.allocationId });
      const { checks } = await doctor(scene);
      expect(checks.filter(({ mark }) => mark !== "ok")).toEqual([]);
    }),
  );
});

describe.concurrent("a pool, before anything is bought", () => {
  test("the pools that there are are listed", () =>
    scenario(
      {
        start: {
          build: (world) => {
            for (const pool of ["api", "api", "batch"])
              world.address({ tags: { "eip-pool": pool } });
          },
        },
        breakIt: conf("EIP_HEAL_POOL=eip-pool=frontend"),
      },
      async (scene) => {
        const { checks } = await doctor(scene);
        const check = checks.find(({ mark }) => mark === "failed");
        expect(check?.found).toBe(
          "no address carries the tag eip-pool=frontend; there are eip-pool=api (2 addresses), eip-pool=batch (1 address)",
        );
        expect(check?.cure).toMatch(
          /^name one of these pools, or tag another address for the pool/,
        );
        expect(check?.commands?.[0]).toMatch(/^aws ec2 describe-addresses /);
      },
    ));

  test.each(["web ", " web"])("an address of it is tagged %j, and nothing else can be", (value) =>
    scenario(
      {
        start: { ...inGroup, address: { tags: { "eip-pool": value } } },
        breakIt: tag({ "allocation-id": null, "eip-pool": "web" }),
      },
      async (scene) => {
        const failed = await scene.run("--deadline", "10s");
        expect(failed.status).toBe(75);
        expect(failed.log[0]).toMatch(/^no address carries that tag \(the pool eip-pool=web\)/);
        const { checks, first } = await doctor(scene);
        expect(first).toBe("address");
        const check = checks.find(({ mark }) => mark === "failed");
        expect(check?.cure).toBe(
          `take the blank away from the tag eip-pool=${JSON.stringify(value)} of the address: tag it web`,
        );
        if (check !== undefined) new Operator(scene).follow(check);
        const healed = await scene.run();
        expect(healed.status, healed.log.join("\n")).toBe(0);
      },
    ),
  );

  test("a full one: the addresses that nobody holds come first", () =>
    scenario(
      { start: fullPool(MINE + HOUR), breakIt: conf("EIP_HEAL_POOL=eip-pool=web") },
      async (scene) => {
        const check = (await doctor(scene)).checks.find(({ mark }) => mark === "failed");
        expect(check?.commands).toEqual([
          expect.stringMatching(/^aws ec2 describe-addresses .*AssociationId==null/),
          expect.stringMatching(/^aws ec2 create-tags .*--resources ALLOCATION_ID .*Value=web$/),
        ]);
      },
    ));
});

test("the address is wanted back on the old instance", () =>
  scenario({ start: heldBy({ launchTime: MINE + HOUR }) }, async (scene) => {
    const yielded = await scene.run();
    expect(yielded.status).toBe(69);
    expect(yielded.log).toEqual([
      expect.stringMatching(/^yielded: a newer instance has eipalloc-.*; run: eip-heal doctor$/),
    ]);
    const checkup = await doctor(scene);
    expect(checkup.first).toBe("holder");
    const { cure = "" } = checkup.checks.find(({ id }) => id === "holder") ?? {};
    const [, flags = ""] = /to take it here now: sudo eip-heal ([^;]+);/.exec(cure) ?? [];
    const taken = await scene.run(...flags.split(" "));
    expect(taken.status, taken.log.join("\n")).toBe(0);
    expect(taken.result).toMatchObject({ change: "taken" });
    // It is no setting that the next instance would have to overcome.
    await expectNextHeals(scene, tagsOf(scene));
  }));

type Tags = Readonly<Record<string, string | null>>;

/** A heal on the instance that Auto Scaling launches next, with the tags that the group has now. */
async function healNext(
  { region, conf: lines, environment }: Scene,
  tags: Tags,
  ...flags: readonly string[]
): Promise<AgentRun & { readonly instanceId: string }> {
  const has = Object.entries(tags).filter((entry): entry is [string, string] => entry[1] !== null);
  const { instanceId } = await region.launch({
    ...inGroup.instance,
    role: "full",
    metadataTags: true,
    autoPublicIp: true,
    tags: Object.fromEntries(has),
  });
  region.region.running(instanceId);
  const run = await runAgent(region, instanceId, {
    flags,
    environment,
    conf: lines?.join("\n") ?? "",
  });
  return { ...run, instanceId };
}

async function expectNextHeals(scene: Scene, tags: Tags): Promise<void> {
  const run = await healNext(scene, tags, "--deadline", "60s");
  expect(run.status, run.log.join("\n")).toBe(0);
  expect(run.result).toMatchObject({ outcome: "settled", instanceId: run.instanceId });
}

/** The tags of the instance, as its group gives them to all. */
function tagsOf({ region, me }: Scene): Readonly<Record<string, string>> {
  return region.region.records.instance(me.instanceId)?.tags ?? {};
}
