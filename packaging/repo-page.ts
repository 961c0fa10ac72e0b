/**
 * Writes the page of a package repository, index.md and the same as index.html.
 *
 * usage: node packaging/repo-page.ts FOLDER URL FINGERPRINT
 */
import { globSync, writeFileSync } from "node:fs";
import { join } from "node:path";

type Block = { heading: string } | { text: string } | { lines: readonly string[] };

const [folder, url, fingerprint] = process.argv.slice(2);
if (folder === undefined || url === undefined || fingerprint === undefined) {
  throw new Error("usage: node packaging/repo-page.ts FOLDER URL FINGERPRINT");
}
const versions = [
  ...new Set(
    globSync("deb/pool/main/e/eip-heal/*.deb", { cwd: folder }).map(
      (path) => /_([^_]+)_[^_]+\.deb$/.exec(path)?.[1] ?? "",
    ),
  ),
].toSorted((a, b) => b.localeCompare(a, "en", { numeric: true }));

const architectures = [
  ["amd64", "x86-64"],
  ["arm64", "arm64"],
]
  .filter(
    ([name]) => globSync(`deb/pool/main/e/eip-heal/*_${name}.deb`, { cwd: folder }).length > 0,
  )
  .map(([, name]) => name)
  .join(" and ");

const TITLE = "eip-heal packages";
const blocks: Block[] = [
  {
    text: `eip-heal brings an EC2 instance back under its Elastic IP at every boot. These packages are for ${architectures}.`,
  },
  { heading: "Debian, Ubuntu and their kin" },
  {
    lines: [
      `sudo curl -fsSL ${url}/deb/eip-heal.gpg -o /usr/share/keyrings/eip-heal.gpg`,
      `echo 'deb [signed-by=/usr/share/keyrings/eip-heal.gpg] ${url}/deb stable main' | sudo tee /etc/apt/sources.list.d/eip-heal.list`,
      "sudo apt-get update && sudo apt-get install eip-heal",
    ],
  },
  { heading: "Amazon Linux 2023, RHEL and their kin" },
  {
    lines: [
      `sudo curl -fsSL ${url}/rpm/eip-heal.repo -o /etc/yum.repos.d/eip-heal.repo`,
      "sudo dnf install -y eip-heal",
    ],
  },
  {
    text: "dnf shows the key before it trusts it (-y says yes). Installing enables the unit and never starts it: the next boot heals.",
  },
  { heading: "The key" },
  { text: "Everything here is signed by the key with this fingerprint:" },
  { lines: [(fingerprint.match(/.{1,4}/g) ?? []).join(" ")] },
  { heading: "Versions" },
  { text: "Older versions stay, and are installed by naming them:" },
  {
    lines: versions.flatMap((version) => [
      `sudo apt-get install eip-heal=${version}    # or: sudo dnf install eip-heal-${version}`,
    ]),
  },
];

const markdown = blocks.map((block) => {
  if ("heading" in block) return `## ${block.heading}`;
  return "text" in block ? block.text : block.lines.map((line) => `    ${line}`).join("\n");
});
writeFileSync(join(folder, "index.md"), `${[`# ${TITLE}`, ...markdown].join("\n\n")}\n`);

const html = blocks.map((block) => {
  if ("heading" in block) return `<h2>${escape(block.heading)}</h2>`;
  return "text" in block
    ? `<p>${escape(block.text)}</p>`
    : `<pre>${block.lines.map(escape).join("\n")}</pre>`;
});
writeFileSync(
  join(folder, "index.html"),
  `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${TITLE}</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color-scheme: light dark; }
pre { overflow-x: auto; padding: 0.7em 1em; border: 1px solid #8886; border-radius: 4px; }
</style>
<h1>${TITLE}</h1>
${html.join("\n")}
</html>
`,
);

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
