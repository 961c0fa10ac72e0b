/** The life of the packages, out of a signed repository: the .deb on each supported release of Debian, the .rpm with dnf. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stopAtFirstFailure, tellOnFailure } from "../support/failing.ts";
import { aptSystems, dnfSystem, type System } from "../support/machine/roots.ts";
import { unless } from "../support/skipping.ts";
import { Life } from "./life.ts";
import { APT, DNF, type PackageManager } from "./managers.ts";
import { type Repository, theRepository } from "./repository.ts";
import { stepsOf } from "./steps.ts";
import { Web } from "./web.ts";

const apt = aptSystems();
const dnf = dnfSystem();
const LIVES: { title: string; manager: PackageManager; system: System }[] = [
  ...apt.map((system) => ({ title: `the .deb on ${system.name}`, manager: APT, system })),
  ...(dnf === undefined ? [] : [{ title: "the .rpm", manager: DNF, system: dnf }]),
];
const NO_ROOT = unless("no root could be made");
if (apt.length === 0) test("the .deb: no system to install it on", NO_ROOT, () => {});
if (dnf === undefined) test("the .rpm: no system to install it on", NO_ROOT, () => {});

let repository: Repository;
let web: Web;

beforeAll(async () => {
  repository = await theRepository();
  web = await Web.serve(repository.folder);
});

afterAll(async () => {
  await web?.close();
});

describe.each(LIVES)("$title", ({ manager, system }) => {
  let life: Life;

  beforeAll(async () => {
    life = await Life.begin(manager, system.image, repository);
  });

  afterAll(async () => {
    await life?.cloud.close();
  });

  stopAtFirstFailure();
  tellOnFailure(() => life.cloud.story());

  test.each(manager.refusals)(`${manager.name} refuses %s`, async (_, stage, why) => {
    await repository.become(stage);
    await manager.subscribe(life.machine, repository);
    const { status, said } = await manager.attempt(life.machine);
    expect(status, said).not.toBe(0);
    expect(said).toMatch(why);
    expect(await life.state()).toEqual(life.none(0));
  });

  test.each(stepsOf(manager))("$name", ({ run }) => run(life));
});
