/**
 * Writes the bill of materials of a package to standard output, as CycloneDX 1.6: the program, the npm packages that
 * the bundler put into it, and the Node.js runtime around them with what Node itself contains.
 *
 * usage: node packaging/sbom.ts PACKAGE BINARY x64|arm64
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly description?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** A package in the bundle: the manifest, and where it lies; a name may be there in two versions. */
interface Bundled extends Manifest {
  readonly folder: string;
}

interface Component {
  readonly "bom-ref": string;
  readonly [field: string]: unknown;
}

const [file, binary, arch] = process.argv.slice(2);
if (file === undefined || binary === undefined || arch === undefined) {
  throw new Error("usage: node packaging/sbom.ts PACKAGE BINARY x64|arm64");
}
const epoch = Number(required("SOURCE_DATE_EPOCH"));
const { packages: locked } = readJson("package-lock.json") as {
  packages: Record<string, { version: string; license: string; integrity?: string }>;
};
const project = readJson("package.json") as Manifest;
const bundled = (readJson("dist/bundled-packages.json") as Bundled[]).map(
  ({ folder }): Bundled => ({ ...(readJson(join(folder, "package.json")) as Manifest), folder }),
);
// Of the program, not of the package: a signature changes that one.
const sha256 = createHash("sha256").update(readFileSync(binary)).digest("hex");

const root: Component = {
  "bom-ref": packageUrl(),
  type: "application",
  name: project.name,
  version: project.version,
  description: project.description,
  hashes: [{ alg: "SHA-256", content: sha256 }],
  licenses: [{ license: { id: project.license } }],
  purl: packageUrl(),
  properties: [{ name: "eip-heal:package", value: basename(file) }],
};
const node = ofNode(`node-linux-${arch}`);
const modules = bundled.map(ofModule);
const document = {
  $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  serialNumber: `urn:uuid:${uuidOf(`${packageUrl()} ${sha256}`)}`,
  version: 1,
  metadata: {
    timestamp: new Date(epoch * 1000).toISOString().replace(".000Z", "Z"),
    lifecycles: [{ phase: "build" }],
    component: root,
  },
  components: [node, ...modules],
  dependencies: [
    {
      ref: root["bom-ref"],
      dependsOn: [node["bom-ref"], ...ofProject()],
    },
    { ref: node["bom-ref"], dependsOn: [] },
    ...bundled.map((manifest) => ({ ref: purl(manifest), dependsOn: amongBundled(manifest) })),
  ],
};
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);

/** A tool of the build is in it too: the bundler's runtime. */
function ofProject(): string[] {
  const dependencies = { ...project.dependencies, ...project.devDependencies };
  return amongBundled({ ...project, dependencies, folder: "" });
}

function ofModule(manifest: Bundled): Component {
  const scoped = /^(@[^/]+)\/(.+)$/.exec(manifest.name);
  return {
    "bom-ref": purl(manifest),
    type: "library",
    ...(scoped === null
      ? { name: manifest.name }
      : { group: scoped[1] ?? "", name: scoped[2] ?? "" }),
    version: manifest.version,
    scope: "required",
    hashes: integrityOf(manifest.folder, manifest.version),
    licenses: [
      /^[\w.+-]+$/.test(manifest.license)
        ? { license: { id: manifest.license } }
        : { expression: manifest.license },
    ],
    purl: purl(manifest),
  };
}

/** The npm package it is taken from, what scanners know it as, and what it consists of, as it says itself. */
function ofNode(name: string): Component {
  const { node: version, ...parts } = process.versions;
  const url = purl({ name, version });
  return {
    "bom-ref": url,
    type: "platform",
    name: "node",
    version,
    description: "Node.js runtime",
    scope: "required",
    hashes: integrityOf(`node_modules/${name}`, version),
    licenses: [{ license: { id: locked[`node_modules/${name}`]?.license } }],
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
    purl: url,
    components: Object.entries(parts)
      // Numbers of interfaces, and parts that do not tell their version.
      .filter(([part, value]) => part !== "modules" && part !== "napi" && value)
      .map(([part, value]) => ({
        "bom-ref": `${url}#${part}`,
        type: "library",
        name: part,
        version: value,
        purl: `pkg:generic/${part}@${encodeURIComponent(value ?? "")}`,
      })),
  };
}

/** What it depends on, as Node resolves it: its own copy before that of the folders around it. */
function amongBundled({ folder, dependencies }: Bundled): string[] {
  return Object.keys(dependencies ?? {}).flatMap((name) => {
    for (let at = folder; ; at = at.replace(/(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/, "")) {
      const found = bundled.find((each) => each.folder === join(at, "node_modules", name));
      if (found !== undefined) return [purl(found)];
      if (at === "") return [];
    }
  });
}

/** The sum of the npm archive, by which package-lock.json pins it. */
function integrityOf(folder: string, version: string): { alg: string; content: string }[] {
  const entry = locked[folder];
  if (entry?.version !== version || !entry.integrity?.startsWith("sha512-")) {
    throw new Error(`package-lock.json does not pin ${folder} at ${version}`);
  }
  const sum = Buffer.from(entry.integrity.slice("sha512-".length), "base64");
  return [{ alg: "SHA-512", content: sum.toString("hex") }];
}

function purl({ name, version }: { readonly name: string; readonly version: string }): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

function packageUrl(): string {
  const { name, version } = project;
  return file?.endsWith(".rpm") === true
    ? `pkg:rpm/${name}/${name}@${version}-1?arch=${arch === "arm64" ? "aarch64" : "x86_64"}`
    : `pkg:deb/${name}/${name}@${version}?arch=${arch === "arm64" ? "arm64" : "amd64"}`;
}

/** The same thing has the same number. */
function uuidOf(thing: string): string {
  const hash = createHash("sha256").update(thing).digest("hex");
  const digits = hash.slice(0, 32).split("");
  digits[12] = "8"; // version 8: made by a rule of one's own
  digits[16] = "89ab"[Number.parseInt(hash[16] ?? "0", 16) % 4] ?? "8";
  return digits.join("").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") {
    throw new Error(`${name} is not set; packaging/build.sh sets it`);
  }
  return value;
}
