/**
 * Writes the copyright file of the packages to standard output, in Debian's machine-readable form: the program itself,
 * the npm packages that the bundler put into it (dist/bundled-packages.json), and the Node.js runtime around them.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BundledPackage } from "../build/bundle.ts";

const LIST = "dist/bundled-packages.json";
const APACHE = `License: Apache-2.0
 On Debian systems the text of the Apache License, Version 2.0 is in
 /usr/share/common-licenses/Apache-2.0, on others in
 /usr/share/licenses/eip-heal/LICENSE.`;

const stanzas = [
  `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: eip-heal
Comment:
 /usr/bin/eip-heal is one file made of the program itself, of the npm packages
 below and of the Node.js runtime, which in turn contains other software.`,
  `Files: *
Copyright: 2026 the eip-heal authors
License: Apache-2.0`,
  APACHE,
];
for (const bundled of readList()) stanzas.push(ofPackage(bundled));
stanzas.push(ofNode());
process.stdout.write(`${stanzas.join("\n\n")}\n`);

function readList(): BundledPackage[] {
  if (!existsSync(LIST)) throw new Error(`${LIST} is missing: build the bundle first`);
  return JSON.parse(readFileSync(LIST, "utf8")) as BundledPackage[];
}

function ofPackage({ name, version, license, author, ...texts }: BundledPackage): string {
  const { licenseText = "", noticeText } = texts;
  if (licenseText === "" && license !== "Apache-2.0") {
    // MIT, BSD and ISC ask for their very text, with the copyright notice in it.
    throw new Error(`${name} says ${license} and has no licence file to pass on`);
  }
  return [
    `Files: node_modules/${name}/*`,
    `Copyright: ${copyrights(licenseText).join("\n           ") || (author ?? "its authors")}`,
    // Apache-2.0 is the same text for all; the others differ in their copyright lines at least.
    ...(license === "Apache-2.0"
      ? ["License: Apache-2.0"]
      : [`License: ${shortName(`${name}-${version}`, license)}`, indent(licenseText)]),
    `Comment: version ${version}`,
    ...(noticeText === undefined ? [] : [indent(noticeText)]),
  ].join("\n");
}

/** Node's licence file, word for word: it lists all that Node itself contains. */
function ofNode(): string {
  // The one that runs this; every architecture's has the same text.
  const folder = dirname(dirname(process.execPath));
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    version: string;
  };
  return `Files: node-v${version}/*
Copyright: Node.js contributors, Joyent, Inc. and other Node contributors, and those named below
License: Node.js
${indent(readFileSync(join(folder, "LICENSE"), "utf8"))}`;
}

/** The lines that name a holder, not those of the licence that speak of copyright. */
function copyrights(text: string): string[] {
  const found = text
    .split("\n")
    .map((line) =>
      /^\W*(?:Copyright\b|\(c\)|©)[\s:]*((?:\(c\)|©)?\s*\d{4}.*|(?:\(c\)|©).*)$/i
        .exec(line)?.[1]
        ?.trim(),
    )
    .filter((holder) => holder !== undefined && holder !== "");
  return [...new Set(found as string[])];
}

/** Two packages under one licence have different texts, so each text gets a name of its own. */
function shortName(name: string, license: string): string {
  return `${license.replaceAll(/[^\w.+-]+/g, "-")}-${name.replaceAll(/[^\w.+-]+/g, "-").replace(/^-/, "")}`;
}

function indent(text: string): string {
  return text
    .trim()
    .split(/\r?\n/)
    .map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`))
    .join("\n");
}
