import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { afterEach, beforeEach, expect, test } from "vitest";
import { standIns, type StandIn } from "../../build/stand-ins.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "eip-heal-stand-ins-"));
  for (const name of ["one", "two"]) {
    const home = join(folder, "node_modules", name);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, "package.json"), JSON.stringify({ name, main: "index.js" }));
    writeFileSync(join(home, "index.js"), `export { value as ${name} } from "./heavy.js";`);
    writeFileSync(join(home, "heavy.js"), `export const value = "heavy ${name}";`);
  }
  writeFileSync(
    join(folder, "main.js"),
    'import { one } from "one"; import { two } from "two"; console.log(one, two);',
  );
});
afterEach(() => rmSync(folder, { recursive: true }));

async function bundleWith(rows: readonly StandIn[]): Promise<string> {
  const build = await rolldown({
    input: join(folder, "main.js"),
    cwd: folder,
    plugins: [standIns(rows)],
  });
  const { output } = await build.generate();
  await build.close();
  return output[0].code;
}

const light = { specifier: "./heavy.js", code: 'export const value = "light";' };

test("stands in for what the modules of one package import, and of no other", async () => {
  const code = await bundleWith([{ from: "one", ...light }]);
  expect(code).toContain('"light"');
  expect(code).not.toContain("heavy one");
  expect(code).toContain("heavy two");
});

test.each([
  ["a module that is named differently now", { from: "one", ...light, specifier: "./heavy" }],
  ["a package that is not there any more", { from: "three", ...light }],
])("fails the build where it stands in for nothing: %s", async (_, row) => {
  await expect(bundleWith([{ from: "two", ...light }, row])).rejects.toThrow(
    `no module of ${row.from} imports ${row.specifier} any more`,
  );
});
