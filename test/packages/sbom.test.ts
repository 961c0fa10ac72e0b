import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { ALL_BUILT, attempt, missing, read, ROOT, SLOW } from "./tools.ts";

interface Bom {
  readonly specVersion: string;
  readonly metadata: {
    readonly timestamp: string;
    readonly component: { readonly purl: string; readonly hashes: { readonly content: string }[] };
  };
  readonly components: {
    readonly group?: string;
    readonly name: string;
    readonly version: string;
    readonly purl: string;
    readonly licenses: { readonly license?: { readonly id: string } }[];
    readonly components?: { readonly name: string; readonly version: string }[];
  }[];
  readonly dependencies: { readonly ref: string; readonly dependsOn?: string[] }[];
}

const PYTHON = `${ROOT}.tools/lint/bin/python`;
const VALIDATE = `
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(None if error is None else str(error)[:2000])
`;

const packages = ALL_BUILT.flatMap((built) =>
  [built.deb, built.rpm].map((file) => [file.replace(/.*\//, ""), file, built] as const),
);

describe.each(packages)("bill of materials of %s", (_, file, { arch, binary }) => {
  const path = `${file}.cdx.json`;
  const absent = missing(path);
  if (absent !== undefined) {
    test("not there", unless(absent), () => {});
    return;
  }
  const bom = JSON.parse(readFileSync(path, "utf8")) as Bom;

  test("is CycloneDX 1.6 by its schema", { ...unless(missing(PYTHON)), timeout: SLOW }, () => {
    const { status, output } = attempt(PYTHON, "-c", VALIDATE, path);
    expect(status, output).toBe(0);
  });

  test("is of this package, by the sum of the program in it", { timeout: SLOW }, () => {
    const { purl, hashes } = bom.metadata.component;
    expect(purl).toContain(file.endsWith(".deb") ? "pkg:deb/" : "pkg:rpm/");
    expect(hashes.map(({ content }) => content)).toEqual([
      createHash("sha256").update(readFileSync(binary)).digest("hex"),
    ]);
  });

  test("lists Node and every bundled package with version, licence and purl", () => {
    const bundled = (
      JSON.parse(read("dist/bundled-packages.json")) as {
        name: string;
        version: string;
        license: string;
      }[]
    ).map(({ name, version, license }) => ({ name, version, license }));
    const { version } = JSON.parse(read("package-lock.json")).packages[
      `node_modules/node-linux-${arch}`
    ];
    const byUrl = (a: { purl: string }, b: { purl: string }) => (a.purl < b.purl ? -1 : 1);
    expect(
      bom.components
        .map(({ group, name, version, purl, licenses }) => ({
          name: group === undefined ? name : `${group}/${name}`,
          version,
          license: licenses[0]?.license?.id,
          purl,
        }))
        .toSorted(byUrl),
    ).toEqual(
      [{ name: "node", version, license: "MIT" }, ...bundled]
        .map((component, at) => ({
          ...component,
          purl:
            at === 0
              ? `pkg:npm/node-linux-${arch}@${version}`
              : `pkg:npm/${component.name.replace("@", "%40")}@${component.version}`,
        }))
        .toSorted(byUrl),
    );
    const parts = bom.components
      .find(({ name }) => name === "node")
      ?.components?.map(({ name }) => name);
    expect(parts).toEqual(expect.arrayContaining(["openssl", "v8", "uv", "zlib", "llhttp"]));
  });

  test("says what needs what, of what it lists", () => {
    const known = [bom.metadata.component, ...bom.components].map(({ purl }) => purl);
    const refs = bom.dependencies.map(({ ref }) => ref);
    // What Node contains has no name of its own among the packages: it is that of Node with a fragment.
    expect(new Set(refs.filter((ref) => !ref.includes("#")))).toEqual(new Set(known));
    for (const { dependsOn = [] } of bom.dependencies) {
      for (const ref of dependsOn) expect(known).toContain(ref);
    }
    // Everything is there for a reason: reached from the program.
    const reached = new Set([known[0]]);
    for (const ref of reached) {
      for (const next of bom.dependencies.find((each) => each.ref === ref)?.dependsOn ?? [])
        reached.add(next);
    }
    expect(reached).toEqual(new Set(known));
  });

  test("is the same when it is written again", { timeout: SLOW }, () => {
    const epoch = String(Date.parse(bom.metadata.timestamp) / 1000);
    const again = execFileSync(process.execPath, ["packaging/sbom.ts", file, binary, arch], {
      cwd: ROOT,
      encoding: "utf8",
      env: { SOURCE_DATE_EPOCH: epoch, TZ: "Asia/Tokyo" },
    });
    expect(again).toBe(readFileSync(path, "utf8"));
  });
});
