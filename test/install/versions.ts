/** The package under test under other versions: its past and its future. */
import { existsSync } from "node:fs";
import { appendFile, chmod, cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { must } from "../support/run.ts";

/** A package whose files lie in a folder, ready to be packed under any version. */
export interface Unpacked {
  /** The package file that it comes from. */
  readonly file: string;
  readonly root: string;
}

/** Unpacks a .deb or .rpm into a new folder. */
export async function unpack(file: string, root: string): Promise<Unpacked> {
  if (file.endsWith(".deb")) await must(["dpkg-deb", "--raw-extract", file, root]);
  else {
    await mkdir(root);
    await must(["sh", "-euc", 'cd "$1"; rpm2cpio "$0" | cpio -idm --quiet', file, root]);
  }
  return { file, root };
}

/** From now on it ships another configuration file. */
export async function changeConf({ root }: Unpacked): Promise<void> {
  await appendFile(join(root, "etc/eip-heal.conf"), "\n# A setting that is new in this version.\n");
}

/** The units and the generator of 0.1.0, without their comments. */
const FIRST = join(import.meta.dirname, "0.1.0");
const UNITS = "usr/lib/systemd/system";
const GENERATOR = "usr/lib/systemd/system-generators/eip-heal-generator";
/** What 0.1.0 did not have. */
const ADDED = ["etc/needrestart", "usr/share/fish", "usr/share/zsh", "usr/share/man/man5"];

/** The same package with what matters for an upgrade as 0.1.0 had it: units, generator and list of files. */
export async function asFirst({ file, root }: Unpacked): Promise<Unpacked> {
  const first = `${root}-0.1.0`;
  // Links, so nothing may be written into what is there.
  await must(["cp", "-al", root, first]);
  for (const path of [UNITS, ...ADDED])
    await rm(join(first, path), { recursive: true, force: true });
  await cp(FIRST, join(first, UNITS), { recursive: true });
  await mkdir(join(first, dirname(GENERATOR)));
  await rename(join(first, UNITS, basename(GENERATOR)), join(first, GENERATOR));
  await chmod(join(first, GENERATOR), 0o755);
  const conffiles = join(first, "DEBIAN/conffiles");
  if (existsSync(conffiles)) {
    await rm(conffiles);
    await writeFile(conffiles, "/etc/eip-heal.conf\n");
  }
  return { file, root: first };
}

/** Packs a .deb under another version, in `folder`. Not compressed, for speed. */
export async function debAs(
  version: string,
  { file, root }: Unpacked,
  folder: string,
): Promise<string> {
  const control = join(root, "DEBIAN/control");
  await writeFile(
    control,
    (await readFile(control, "utf8")).replace(/^Version: .*$/m, `Version: ${version}`),
  );
  const arch = (await must(["dpkg-deb", "--field", file, "Architecture"])).trim();
  const target = join(folder, `eip-heal_${version}_${arch}.deb`);
  await must(["dpkg-deb", "-Znone", "--root-owner-group", "--build", root, target]);
  return target;
}

/** Packs an .rpm under another version, in `folder`: the same files, scripts and dependencies. Not signed. */
export async function rpmAs(
  version: string,
  { file, root }: Unpacked,
  folder: string,
): Promise<string> {
  const top = join(folder, `rpmbuild-${version}`);
  await mkdir(top);
  const spec = join(top, "eip-heal.spec");
  await writeFile(spec, await specOf(file, root, version));
  const macros = {
    _topdir: top,
    // Hardly compressed, for speed.
    _binary_payload: "w1.gzdio",
    // The files go in as they are: nothing is stripped, compressed or looked into.
    __os_install_post: "%{nil}",
    debug_package: "%{nil}",
    _build_id_links: "none",
  };
  const options = Object.entries(macros).flatMap(([name, body]) => ["--define", `${name} ${body}`]);
  const arch = await query(file, "%{ARCH}");
  await must(["rpmbuild", "-bb", "--quiet", "--target", arch, ...options, spec]);
  const target = join(folder, `eip-heal-${version}-1.${arch}.rpm`);
  await rename(join(top, "RPMS", arch, basename(target)), target);
  await rm(top, { recursive: true });
  return target;
}

/** A copy of a package with a byte changed. */
export async function damaged(file: string, target: string): Promise<void> {
  await cp(file, target);
  const bytes = await readFile(target);
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = 0xff - (bytes[middle] ?? 0);
  await writeFile(target, bytes);
}

// --- internal ---

async function query(rpm: string, format: string): Promise<string> {
  return await must(["rpm", "--query", "--package", "--nosignature", "--queryformat", format, rpm]);
}

/** What rpmbuild would have to be told to make this package. */
async function specOf(rpm: string, root: string, version: string): Promise<string> {
  // %{…:depflags} prints a comparison such as ">="; what rpmbuild adds on its own account is left out.
  const requires = await query(
    rpm,
    "[%{REQUIRENAME} %{REQUIREFLAGS:depflags} %{REQUIREVERSION}\n]",
  );
  const files = await query(
    rpm,
    "[%{FILEMODES:octal}\t%{FILEUSERNAME}\t%{FILEGROUPNAME}\t%{FILEFLAGS:fflags}\t%{FILENAMES}\n]",
  );
  const script = async (tag: string, section: string) => {
    const body = await query(rpm, `%{${tag}}`);
    return body === "(none)" ? [] : [section, body.replaceAll("%", "%%")];
  };
  const tags = { Summary: "SUMMARY", License: "LICENSE", Vendor: "VENDOR", URL: "URL" };
  const header = await Promise.all(
    Object.entries(tags).map(async ([tag, name]) => {
      const value = await query(rpm, `%{${name}}`);
      return value === "(none)" || value === "" ? [] : [`${tag}: ${value}`];
    }),
  );
  return [
    "Name: eip-heal",
    `Version: ${version}`,
    "Release: 1",
    ...header.flat(),
    "AutoReqProv: no",
    ...lines(requires)
      .filter((one) => !one.startsWith("rpmlib("))
      .map((one) => `Requires: ${one.trim()}`),
    "%description",
    "The same package under another version.",
    "%install",
    "rm -rf %{buildroot}",
    `cp -al ${root} %{buildroot}`,
    ...(await script("POSTIN", "%post")),
    ...(await script("PREUN", "%preun")),
    ...(await script("POSTUN", "%postun")),
    "%files",
    ...lines(files).flatMap((line) => {
      const [mode = "", user, group, flags = "", name = ""] = line.split("\t");
      if (!existsSync(join(root, name))) return [];
      const isFolder = mode.startsWith("04");
      const kinds = [
        ...(isFolder ? ["%dir"] : []),
        ...(flags.includes("c") ? [`%config${flags.includes("n") ? "(noreplace)" : ""}`] : []),
      ];
      return [`${kinds.join(" ")} %attr(${mode.slice(-4)},${user},${group}) "${name}"`.trim()];
    }),
    ...(existsSync(join(root, GENERATOR)) ? [`%attr(0755,root,root) "/${GENERATOR}"`] : []),
    "",
  ].join("\n");
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
