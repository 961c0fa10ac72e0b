import { describe, expect, test } from "vitest";
import { unless } from "../support/skipping.ts";
import { ALL_BUILT, type Built, missing, run } from "./tools.ts";

/** What comes with glibc's libc.so.6, in one package on every distribution. */
const OF_GLIBC = /^(libc|libm|libdl|libpthread|librt|ld-linux.*)\.so\.\d+$/;

/** The GCC that brought a version of libstdc++'s interface (its manual: "ABI Policy and Guidelines"). */
const GCC_OF: Record<string, number> = { "GLIBCXX_3.4.21": 5, "CXXABI_1.3.11": 7 };

/** Highest version of each interface that the binary asks for, by library: libc.so.6 → GLIBC → 2.28. */
function needsOf({ binary: BINARY }: Built): Record<string, Record<string, string>> {
  const found: Record<string, Record<string, string>> = {};
  for (const [, library = ""] of run("readelf", "-dW", BINARY).matchAll(/\(NEEDED\).*\[(.+)\]/g)) {
    found[OF_GLIBC.test(library) ? "libc.so.6" : library] = {};
  }
  let library = "";
  for (const [, file, symbolVersion] of run("readelf", "-VW", BINARY).matchAll(
    / File: (\S+)| Name: ([A-Z]+_[\d.]+) /g,
  )) {
    if (file !== undefined) library = OF_GLIBC.test(file) ? "libc.so.6" : file;
    else if (symbolVersion !== undefined) {
      const [name = "", version = ""] = symbolVersion.split("_");
      const known = (found[library] ??= {});
      if (newer(version, known[name] ?? "0")) known[name] = version;
    }
  }
  return found;
}

function newer(a: string, b: string): boolean {
  return a.localeCompare(b, "en", { numeric: true }) > 0;
}

describe.each(ALL_BUILT.map((each) => [each.arch, each] as const))(
  "dependencies, %s",
  (_, built) => {
    const { deb: DEB, rpm: RPM } = built;
    const absent = missing("readelf", "dpkg-deb", "rpm", built.binary, DEB, RPM);
    if (absent !== undefined) {
      test("not there", unless(absent), () => {});
      return;
    }
    const needs = () => needsOf(built);

    test("the binary needs glibc, libgcc and libstdc++, nothing else", () => {
      expect(Object.keys(needs()).toSorted()).toEqual([
        "libc.so.6",
        "libgcc_s.so.1",
        "libstdc++.so.6",
      ]);
    });

    test("the deb depends on just these", () => {
      const { "libc.so.6": glibc, "libgcc_s.so.1": libgcc, "libstdc++.so.6": cxx } = needs();
      const gcc = Math.max(
        ...Object.entries(cxx ?? {}).map(
          ([name, version]) => GCC_OF[`${name}_${version}`] ?? Infinity,
        ),
      );
      expect(run("dpkg-deb", "--field", DEB, "Depends").trimEnd().split(", ")).toEqual([
        `libc6 (>= ${glibc?.["GLIBC"]})`,
        `libgcc-s1 (>= ${libgcc?.["GCC"]})`,
        `libstdc++6 (>= ${gcc})`,
        "systemd (>= 239)",
      ]);
    });

    test("the rpm requires just these", () => {
      const sonames = Object.entries(needs()).flatMap(([library, versions]) =>
        Object.entries(versions).map(([name, version]) => `${library}(${name}_${version})(64bit)`),
      );
      const required = run("rpm", "-qp", "--nosignature", "--requires", RPM)
        .trimEnd()
        .split("\n")
        .filter((name) => !name.startsWith("rpmlib("));
      expect(required.toSorted()).toEqual(
        [...sonames, "/bin/sh", "systemd", "systemd >= 239"].toSorted(),
      );
    });
  },
);
