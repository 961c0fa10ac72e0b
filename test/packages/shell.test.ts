import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { attempt, missing, ROOT, SLOW } from "./tools.ts";

const NOT_OURS = new Set(["node_modules", "dist", ".git", ".tools", ".cache"]);

/** All shell in the repository: by its name, or by its first line. */
function shellFiles(folder = ""): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : shellFiles(path);
    if (!entry.isFile()) return [];
    if (/\.(sh|bash)$/.test(path)) return [path];
    return /^#!\s*\S*(\/|env )(ba|da)?sh\b/.test(
      readFileSync(join(ROOT, path), "latin1").slice(0, 80),
    )
      ? [path]
      : [];
  });
}

test("finds the scripts", () => {
  expect(shellFiles()).toEqual(
    expect.arrayContaining([
      "packaging/build.sh",
      "packaging/completion/eip-heal.bash",
      "packaging/deb/postinst",
      "packaging/rpm/post.sh",
    ]),
  );
});

test("shellcheck has nothing to say", { ...unless(missing("shellcheck")), timeout: SLOW }, () => {
  const { status, output } = attempt("shellcheck", "--external-sources", ...shellFiles());
  expect(status, output).toBe(0);
});
