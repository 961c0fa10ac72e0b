/**
 * The recipes for images among the examples, run on roots of both families: the playbook by Ansible itself, and the
 * component of EC2 Image Builder, whose own program is not to be had, by its commands.
 */
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { bake, type Builder, type Image } from "../support/machine/image.ts";
import { dnfSystem, extrasSystem } from "../support/machine/roots.ts";
import { must, run } from "../support/run.ts";
import { currentPackages } from "./repository.ts";

const ROOT = join(import.meta.dirname, "../..");
const EXAMPLES = join(ROOT, "examples");
const ANSIBLE = join(ROOT, ".tools/ansible/bin");
const withoutAnsible = existsSync(ANSIBLE)
  ? undefined
  : "Ansible is not there (make .tools/.ansible)";

const FAMILIES = [
  { family: "apt", system: extrasSystem(), package: "deb" },
  { family: "dnf", system: dnfSystem(), package: "rpm" },
] as const;

let packages: { deb: string; rpm: string };

beforeAll(async () => {
  packages = await currentPackages();
});

describe.each(FAMILIES)("by $family", ({ family, system, package: kind }) => {
  const withoutRoot = system === undefined ? `no root with ${family} could be made` : undefined;

  test(
    "the playbook bakes an enabled unit, and changes nothing the second time",
    {
      ...unless(withoutRoot ?? withoutAnsible),
    },
    async () => {
      await onImage(system?.image, `ansible-${family}`, async (builder) => {
        const extra = {
          package: packages[kind],
          settings: ["EIP_HEAL_TAG=eip", "EIP_HEAL_TAKEOVER=if-gone"],
        };
        const first = await playbook(builder, extra);
        expect(first).toMatch(/changed=[1-9]\d* .*failed=0 /);
        expect(await builder.must(["systemctl", "is-enabled", "eip-heal.service"])).toBe(
          "enabled\n",
        );
        expect(await readFile(join(builder.root, "etc/eip-heal.conf"), "utf8")).toMatch(
          /^EIP_HEAL_TAG=eip\nEIP_HEAL_TAKEOVER=if-gone$/m,
        );
        expect(existsSync(join(builder.root, "var/tmp", basename(packages[kind])))).toBe(false);

        // The upload comes and goes again; what was installed stays as it is.
        const again = await playbook(builder, extra);
        expect(again).toMatch(/changed=2 .*failed=0 /);
      });
    },
  );

  test(
    "the playbook fails where a setting is wrong",
    {
      ...unless(withoutRoot ?? withoutAnsible),
    },
    async () => {
      await onImage(system?.image, `ansible-wrong-${family}`, async (builder) => {
        const extra = { package: packages[kind], settings: ["EIP_HEAL_TAKEOVER=sometimes"] };
        await expect(playbook(builder, extra)).rejects.toThrow("EIP_HEAL_TAKEOVER");
      });
    },
  );

  test("the commands of the Image Builder component do the same", unless(withoutRoot), async () => {
    await onImage(system?.image, `component-${family}`, async (builder) => {
      const component = await componentSteps(`s3://bucket/folder/${basename(packages[kind])}`);
      await copyFile(packages[kind], join(builder.root, "tmp/eip-heal-package"));
      await chmod(join(builder.root, "tmp/eip-heal-package"), 0o644);
      await expect(builder.must(script(component["validate"]))).rejects.toThrow("eip-heal.service");
      await builder.must(script(component["build"]));
      expect(await builder.must(script(component["validate"]))).toMatch(/^enabled$/m);
      expect(existsSync(join(builder.root, "tmp", basename(packages[kind])))).toBe(false);
    });
  });
});

// --- internal ---

async function onImage(
  image: Image | undefined,
  name: string,
  build: (builder: Builder) => Promise<void>,
): Promise<void> {
  if (image === undefined) throw new Error("this system is not there");
  const baked = await bake(name, image, async (builder) => {
    if (name.endsWith("-dnf")) await asAmazonLinux(builder);
    await build(builder);
  });
  await baked.discard();
}

/** The root with dnf is Debian underneath; here it says that it is what it stands for, and Ansible believes that. */
async function asAmazonLinux({ root }: Builder): Promise<void> {
  for (const path of ["etc/debian_version", "etc/os-release", "usr/bin/apt-get"]) {
    await rm(join(root, path));
  }
  await writeFile(
    join(root, "etc/os-release"),
    'NAME="Amazon Linux"\nVERSION="2023"\nID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n',
  );
}

/**
 * Runs the playbook on a root; what Ansible printed. For Ansible the root is a host behind ssh: this ssh enters it by
 * chroot instead, and files go through it as through the real one.
 */
async function playbook(builder: Builder, extra: Record<string, unknown>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "eip-heal-ansible-"));
  try {
    const ssh = join(folder, "ssh");
    await writeFile(
      ssh,
      `#!/bin/bash\n# The command is the last argument.\nexec unshare --mount --propagation private sh -euc 'mount --bind /proc "$0/proc"; mount --bind /dev "$0/dev"; exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 /bin/sh -c "$1"' '${builder.root}' "\${@: -1}"\n`,
    );
    await chmod(ssh, 0o755);
    const { status, stdout, stderr } = await run([
      "env",
      "-i",
      `PATH=${process.env["PATH"]}`,
      `HOME=${folder}`,
      "LC_ALL=C.UTF-8",
      "ANSIBLE_NOCOLOR=1",
      join(ANSIBLE, "ansible-playbook"),
      "--inventory=root,",
      "--user=root",
      `--extra-vars=${JSON.stringify({
        ...extra,
        ansible_ssh_executable: ssh,
        ansible_ssh_transfer_method: "piped",
        ansible_python_interpreter: "/usr/bin/python3",
        ansible_become: false,
      })}`,
      join(EXAMPLES, "ansible/eip-heal.yaml"),
    ]);
    if (status !== 0) throw new Error(`ansible-playbook ended with ${status}:\n${stdout}${stderr}`);
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The commands of the component's phases, with its parameter put in as Image Builder does. */
async function componentSteps(source: string): Promise<Record<string, string[]>> {
  const load = "import sys, json, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
  const text = await readFile(join(EXAMPLES, "imagebuilder/component.yaml"), "utf8");
  const { phases } = JSON.parse(
    await must([join(ROOT, ".tools/venv/bin/python"), "-c", load], { input: text }),
  ) as { phases: { name: string; steps: { action: string; inputs: { commands: string[] } }[] }[] };
  return Object.fromEntries(
    phases.map(({ name, steps }) => [
      name,
      steps
        .filter(({ action }) => action === "ExecuteBash")
        .flatMap(({ inputs }) => inputs.commands)
        .map((command) => command.replaceAll("{{ Package }}", source)),
    ]),
  );
}

/** A step of Image Builder is one script. */
function script(commands: readonly string[] | undefined): string[] {
  return ["bash", "-c", (commands ?? []).join("\n")];
}
