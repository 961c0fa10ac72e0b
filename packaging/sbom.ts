/**
 * Writes the bill of materials of a package to standard output, as CycloneDX 1.6: the program, the npm packages that
 * the bundler put into it, and the Node.js runtime around them with what Node itself contains.
 *
 * usage: node packaging/sbom.ts PACKAGE BINARY x64|arm64
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Enums, Models, Serialize, Spec } from "@cyclonedx/cyclonedx-library";
import type { BundledPackage } from "../build/bundle.ts";

/** A package as package-lock.json has it; its key is the folder that it is in. */
interface Locked {
  readonly version: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const [file, binary, arch] = process.argv.slice(2);
if (file === undefined || binary === undefined || arch === undefined) {
  throw new Error("usage: node packaging/sbom.ts PACKAGE BINARY x64|arm64");
}
const epoch = Number(process.env["SOURCE_DATE_EPOCH"] || NaN);
if (Number.isNaN(epoch))
  throw new Error("SOURCE_DATE_EPOCH is not set; packaging/build.sh sets it");
const { packages: locked } = readJson("package-lock.json") as { packages: Record<string, Locked> };
const project = readJson("package.json") as {
  name: string;
  version: string;
  description: string;
  license: string;
};

const bundled = new Map<string, Models.Component>();
for (const { name, version, license } of readJson(
  "dist/bundled-packages.json",
) as BundledPackage[]) {
  const folder = folderOf(name, version);
  const [, group, short = name] = /^(@[^/]+)\/(.+)$/.exec(name) ?? [];
  const url = purl(name, version);
  bundled.set(
    folder,
    new Models.Component(Enums.ComponentType.Library, short, {
      ...(group !== undefined && { group }),
      bomRef: url,
      version,
      scope: Enums.ComponentScope.Required,
      hashes: integrityOf(folder),
      licenses: licenseOf(license),
      purl: url,
    }),
  );
}
for (const [folder, component] of bundled) dependOn(component, folder);

const node = nodeComponent(`node-linux-${arch}`);
// Of the program, not of the package: a signature changes that one.
const sha256 = createHash("sha256").update(readFileSync(binary)).digest("hex");
const root = new Models.Component(Enums.ComponentType.Application, project.name, {
  bomRef: packageUrl(),
  version: project.version,
  description: project.description,
  hashes: new Models.HashDictionary([[Enums.HashAlgorithm["SHA-256"], sha256]]),
  licenses: licenseOf(project.license),
  purl: packageUrl(),
  properties: new Models.PropertyRepository([
    new Models.Property("eip-heal:package", basename(file)),
  ]),
});
root.dependencies.add(node.bomRef);
dependOn(root, "");

const bom = new Models.Bom({
  metadata: new Models.Metadata({
    timestamp: new Date(epoch * 1000),
    lifecycles: new Models.LifecycleRepository([Enums.LifecyclePhase.Build]),
    component: root,
  }),
  components: new Models.ComponentRepository([node, ...bundled.values()]),
});
const factory = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
const text = new Serialize.JsonSerializer(factory).serialize(bom, { sortLists: true, space: 2 });
process.stdout.write(`${text}\n`);

/** The npm package it is taken from, what scanners know it as, and what it consists of, as it says itself. */
function nodeComponent(name: string): Models.Component {
  const { node: version, ...parts } = process.versions;
  const url = purl(name, version);
  return new Models.Component(Enums.ComponentType.Platform, "node", {
    bomRef: url,
    version,
    description: "Node.js runtime",
    scope: Enums.ComponentScope.Required,
    hashes: integrityOf(folderOf(name, version)),
    licenses: licenseOf(locked[`node_modules/${name}`]?.license ?? "MIT"),
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
    purl: url,
    components: new Models.ComponentRepository(
      Object.entries(parts)
        // Numbers of interfaces, and parts that do not tell their version.
        .filter(([part, value]) => part !== "modules" && part !== "napi" && value)
        .map(
          ([part, value = ""]) =>
            new Models.Component(Enums.ComponentType.Library, part, {
              bomRef: `${url}#${part}`,
              version: value,
              purl: `pkg:generic/${part}@${encodeURIComponent(value)}`,
            }),
        ),
    ),
  });
}

/** What is bundled of what it depends on, as Node resolves it: its own copy before that of the folders around it. */
function dependOn(component: Models.Component, folder: string): void {
  const { dependencies, devDependencies } = locked[folder] ?? {};
  // A tool of the build is in it too: the bundler's runtime.
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    for (let at = folder; ; at = at.replace(/(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/, "")) {
      const found = bundled.get(`${at === "" ? "" : `${at}/`}node_modules/${name}`);
      if (found !== undefined) component.dependencies.add(found.bomRef);
      if (found !== undefined || at === "") break;
    }
  }
}

/** Where package-lock.json pins it. */
function folderOf(name: string, version: string): string {
  const isIt = (folder: string) => `/${folder}`.endsWith(`/node_modules/${name}`);
  const found = Object.keys(locked).find((key) => isIt(key) && locked[key]?.version === version);
  if (found === undefined) throw new Error(`package-lock.json does not pin ${name} at ${version}`);
  return found;
}

/** The sum of the npm archive, by which package-lock.json pins it. */
function integrityOf(folder: string): Models.HashDictionary {
  const { integrity = "" } = locked[folder] ?? {};
  const sum = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
  if (sum.length !== 128) throw new Error(`package-lock.json has no SHA-512 of ${folder}`);
  return new Models.HashDictionary([[Enums.HashAlgorithm["SHA-512"], sum]]);
}

function licenseOf(id: string): Models.LicenseRepository {
  const isOne = /^[\w.+-]+$/.test(id);
  return new Models.LicenseRepository([
    isOne ? new Models.SpdxLicense(id) : new Models.LicenseExpression(id),
  ]);
}

function purl(name: string, version: string): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

function packageUrl(): string {
  const { name, version } = project;
  return file?.endsWith(".rpm") === true
    ? `pkg:rpm/${name}/${name}@${version}-1?arch=${arch === "arm64" ? "aarch64" : "x86_64"}`
    : `pkg:deb/${name}/${name}@${version}?arch=${arch === "arm64" ? "arm64" : "amd64"}`;
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}
