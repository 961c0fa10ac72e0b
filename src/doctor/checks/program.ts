/** Checks the program on this machine: settings, units, versions. */
import {
  correctOrRemove,
  foundIn,
  makeReadable,
  moveKeys,
  remedyFor,
  remedyForNotice,
  sentenceOf,
  sentenceOfNotice,
} from "../../config/problem.ts";
import { EXIT, Failure } from "../../model/failure.ts";
import type { Machine } from "../ports.ts";
import { failing, type Finding, ok } from "../runner.ts";
import type { Aws } from "../../run/ports.ts";
import type { Checks, CheckContext } from "../context.ts";
import { lateNetwork, sayLate } from "../late-network.ts";
import { unseenEnvironment } from "../unit-environment.ts";
import { findingOfTimer, findingOfUnit } from "./units.ts";

/** The checks that need neither network nor AWS. */
export function checkProgram({
  ports,
  signal,
}: CheckContext): Checks<"settings" | "unit" | "recheck" | "versions"> {
  return {
    async settings() {
      const { configured, settingsFile, hiddenFile, hasKeysInFile } = ports;
      if ("problems" in configured) {
        const { problems, status } = configured;
        const [first, ...more] = problems;
        if (first === undefined) throw new Error("settings are wrong, and nothing says why");
        const also =
          more.length === 0 ? "" : ` (and ${more.length} more: ${more.map(sentenceOf).join("; ")})`;
        return {
          mark: "failed",
          found: `${foundIn(first)}${also}`,
          remedy: remedyFor(first, ports.placeOfSetting),
          status,
        };
      }
      if (hiddenFile !== undefined) {
        return {
          mark: "failed",
          found: `${hiddenFile} is not readable by everybody, and eip-heal.service runs as a user of its own`,
          remedy: hasKeysInFile ? moveKeys(hiddenFile) : makeReadable(hiddenFile),
          status: EXIT.CONFIG,
        };
      }
      const { settings } = configured;
      let aws: Aws;
      try {
        aws = configured.aws();
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { remedy, variable } = error.details;
        return failing(
          error,
          remedy ?? (variable && correctOrRemove(variable, ports.placeOfSetting)),
        );
      }
      const value = { settings, aws };
      // The unit runs as an unprivileged dynamic user, so a file that it can read everybody can read.
      if (hasKeysInFile) {
        return {
          mark: "warning",
          found: `every user can read the keys in ${settingsFile}`,
          remedy: moveKeys(settingsFile),
          value,
        };
      }
      const { notices = [] } = configured;
      return notices.length > 0
        ? {
            mark: "warning",
            found: notices.map(sentenceOfNotice).join("; "),
            remedy: notices.map(remedyForNotice).join("; "),
            value,
          }
        : ok(`${settingsFile}, environment and flags are in order`, value);
    },

    async unit() {
      const unit = await ports.machine.unit("eip-heal.service", signal);
      if (unit === undefined)
        return ok("no systemd here: something else has to run eip-heal at every boot", undefined);
      const { isGiven, settingsFile } = ports;
      const unseen = unseenEnvironment(unit, isGiven, settingsFile, "eip-heal doctor");
      const finding = findingOfUnit(unit, unseen);
      const late = await lateNetwork(ports.machine, signal);
      if (late === undefined || finding.mark !== "ok") return finding;
      return {
        mark: "warning",
        found: `${finding.found}; ${sayLate(late)}`,
        remedy:
          "configure the interface that it waits for, or mark it as not needed to be online (RequiredForOnline=no, optional: true in netplan)",
        commands: [late.command],
        value: undefined,
      };
    },

    async recheck() {
      const timer = await ports.machine.unit("eip-heal-recheck.timer", signal);
      return findingOfTimer(timer);
    },

    versions: () => Promise.resolve(findingOfVersions(ports.machine)),
  };
}

/**
 * The finding about the versions. On a kernel in FIPS mode it is a warning: whoever has turned that on expects validated
 * cryptography of every program, and this one brings an OpenSSL of its own, which works there as anywhere else.
 */
export function findingOfVersions({
  versions,
  isInFipsMode,
}: Pick<Machine, "versions" | "isInFipsMode">): Finding<undefined> {
  if (!isInFipsMode) return ok(versions, undefined);
  return {
    mark: "warning",
    found: `${versions}; the kernel is in FIPS mode, and the OpenSSL in this program is not a FIPS 140 validated module`,
    remedy:
      "where validated cryptography is required, this program needs an exception from that rule; AWS_USE_FIPS_ENDPOINT=true changes the endpoints of AWS, not the program",
    value: undefined,
  };
}
