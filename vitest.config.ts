import { defineConfig } from "vitest/config";

/**
 * Projects by what they need: `unit` and `simulation` nothing, `region` loopback, `binary` and `faults` the
 * built binary, `packages` the built packages and the tools that inspect them, `boot` a machine that may
 * boot a container.
 */
const project = (name: string, include: string[], testTimeout = 10_000) => ({
  test: { name, include, testTimeout, hookTimeout: 10 * testTimeout },
});

export default defineConfig({
  test: {
    reporters: ["default", "./test/tools/summary.ts"],
    projects: [
      project("unit", ["test/{core,aws}/**/*.test.ts"], 30_000),
      project("simulation", ["test/simulation/**/*.test.ts"], 300_000),
      project("region", ["test/region/**/*.test.ts"], 60_000),
      project("binary", ["test/binary/**/*.test.ts"], 60_000),
      project("packages", ["test/packages/**/*.test.ts"], 60_000),
      project("faults", ["test/faults/**/*.test.ts"], 120_000),
      {
        // One after the other: each is a cloud with the addresses that clouds have.
        test: {
          ...project("boot", ["test/boot/**/*.test.ts"], 300_000).test,
          fileParallelism: false,
        },
      },
    ],
  },
});
