import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/tools/sequencer.ts";

/** How much longer than usual a property may take, if it is tried with more cases than usual. */
const MORE_CASES = Math.max(1, Number(process.env["EIP_HEAL_TEST_RUNS"] ?? 0) / 500);

/**
 * Projects by what they need: `unit`, `simulation` and `explorer` nothing, `region` loopback, `binary` and `faults` the
 * built binary, `packages` the built packages and the tools that inspect them, `boot` and `install` a machine
 * that may boot a container, `qemu` and `arm64` one that emulates a whole machine.
 */
const project = (name: string, include: string[], testTimeout = 10_000) => ({
  test: { name, include, testTimeout: testTimeout * MORE_CASES, hookTimeout: 10 * testTimeout },
});

/** One file after the other: each is a cloud with the addresses that clouds have. */
const cloud = (name: string, include: string[]) => ({
  test: { ...project(name, include, 300_000).test, fileParallelism: false },
});

// For test/support/properties.ts, in every worker; test/tools/reporter.ts prints it.
process.env["EIP_HEAL_TEST_FRESH_SEED"] ??=
  process.env["EIP_HEAL_TEST_SEED"] ?? String(Date.now() % 2 ** 31);

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    reporters: ["default", "./test/tools/reporter.ts"],
    projects: [
      project(
        "unit",
        [
          "test/{acceptance,aws,commands,config,doctor,iam,model,reconcile,report,run,structure,system}/**/*.test.ts",
        ],
        30_000,
      ),
      project("simulation", ["test/simulation/**/*.test.ts"], 300_000),
      project("explorer", ["test/explorer/**/*.test.ts"], 300_000),
      project("region", ["sim/**/*.test.ts"], 60_000),
      project("binary", ["test/binary/**/*.test.ts"], 60_000),
      project("packages", ["test/packages/**/*.test.ts"], 60_000),
      project("faults", ["test/faults/**/*.test.ts"], 120_000),
      cloud("boot", ["test/boot/**/*.test.ts"]),
      cloud("install", ["test/install/{life,image,recipes,dns}.test.ts"]),
      cloud("qemu", ["test/install/qemu.test.ts"]),
      cloud("selinux", ["test/install/selinux.test.ts"]),
      cloud("arm64", ["test/install/arm64.test.ts"]),
    ],
  },
});
