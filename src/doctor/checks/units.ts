/** Checks whether our systemd units are set up to run at the next boot, and until then. */
import { seconds } from "../../model/duration.ts";
import { howEnded, isUnderWay, type Unit } from "../../model/unit.ts";
import { CONFIRM_TIMER, HEAL_UNIT, RECHECK_TIMER, RECHECK_UNIT } from "../../reconcile/drift.ts";
import type { Machine } from "../ports.ts";
import { type Finding, ok } from "../runner.ts";
import type { UnseenEnvironment } from "../unit-environment.ts";

/** Where the state of a unit is corrected, which an instance has from its image. */
export const EVERYWHERE = "here, and in the image for the instances to come";

/**
 * The finding about eip-heal.service, which runs the heal at boot.
 *
 * @param unseen what its runs have in their environment, and this checkup does not
 */
export function findingOfUnit(
  unit: Unit,
  unseen: UnseenEnvironment | undefined,
): Finding<undefined> {
  const { enablement, activity, result, exitStatus } = unit;
  const ended = howEnded(unit);
  const last =
    exitStatus === undefined || activity === "activating"
      ? activity
      : result === "success"
        ? `${activity}, its last run succeeded`
        : ended !== undefined
          ? `${activity}, its last run was ${ended.words}`
          : `${activity}, its last run ended with exit status ${exitStatus} (${result})`;
  const warn = (found: string, remedy: string, ...commands: string[]): Finding<undefined> => ({
    mark: "warning",
    found: `eip-heal.service is ${found}`,
    remedy,
    ...(commands.length > 0 && { commands }),
    value: undefined,
  });
  if (enablement === "") {
    return warn(
      "not installed",
      "install the package, or run eip-heal at every boot by other means",
    );
  }
  if (enablement === "masked") {
    return warn(
      `masked; ${last}`,
      `unmask and enable it ${EVERYWHERE}`,
      "systemctl unmask eip-heal",
      "systemctl enable eip-heal",
    );
  }
  if (!/^(enabled|static|alias)$/.test(enablement)) {
    return warn(
      `${enablement}, so that nothing heals at boot; ${last}`,
      `enable it ${EVERYWHERE}`,
      "systemctl enable eip-heal",
    );
  }
  if (unit.needsReload) {
    return warn(
      `${enablement}; ${last}; it has changed on disk`,
      "reload it",
      "systemctl daemon-reload",
    );
  }
  if (unseen !== undefined) {
    return warn(
      `${enablement}; ${last}; it is run with ${unseen.what}, which this checkup has not had`,
      "give it the same (systemctl cat eip-heal shows it)",
      unseen.command,
    );
  }
  if (ended?.mayLackMemory === true) {
    return warn(
      `${enablement}; ${last}`,
      "is the memory of this instance used up, or limited by a drop-in? systemctl cat eip-heal shows its limits, journalctl -u eip-heal what was said",
    );
  }
  if (activity === "failed") {
    return warn(
      `${enablement}; ${last}`,
      "once nothing else fails here, its next try succeeds, within a minute; or start it now",
      "systemctl start eip-heal",
    );
  }
  return ok(`eip-heal.service is ${enablement}; ${last}`, undefined);
}

/** The note if the recheck timer is off: only eip-heal-confirm.timer rechecks, once after each success. */
const STAYS_AWAY =
  "if the address is moved after the one recheck that follows a heal, it stays there until the next boot";

/** The finding about eip-heal-recheck.timer, which is disabled by default. */
export function findingOfTimer(timer: Unit | undefined): Finding<undefined> {
  if (timer === undefined || timer.enablement === "") return ok("no timer here", undefined);
  if (timer.activity === "active") {
    const next =
      timer.nextMs === undefined ? "" : `, next in ${seconds(Math.max(0, timer.nextMs))}`;
    return ok(`the timer runs${next}`, undefined);
  }
  const warn = (found: string, remedy: string, command: string): Finding<undefined> => ({
    mark: "warning",
    found: `the timer is ${found}: ${STAYS_AWAY}`,
    remedy,
    commands: [command],
    value: undefined,
  });
  if (timer.activity === "failed") {
    return warn(
      `${timer.enablement} and has failed (${timer.result})`,
      "run it again",
      "systemctl restart eip-heal-recheck.timer",
    );
  }
  if (timer.enablement === "enabled") {
    return warn(`enabled and does not run`, "start it", "systemctl start eip-heal-recheck.timer");
  }
  if (timer.enablement === "masked") {
    return ok(`the timer is masked: ${STAYS_AWAY}`, undefined);
  }
  return ok(`the timer is off (default): ${STAYS_AWAY}`, undefined);
}

/**
 * Whether an address that is not here stays away until the next boot: the heal has succeeded, so that nothing repeats it, its
 * one recheck is over, and the timer of the others is off. A masked timer was turned off on purpose.
 */
export async function isLeftAway(
  machine: Pick<Machine, "unit">,
  signal: AbortSignal,
): Promise<boolean> {
  const [heal, recheck, confirmTimer, timer] = await Promise.all(
    [HEAL_UNIT, RECHECK_UNIT, CONFIRM_TIMER, RECHECK_TIMER].map((name) =>
      machine.unit(name, signal),
    ),
  );
  const isOff = timer?.activity === "inactive" && !["", "masked"].includes(timer.enablement);
  const isDue = isUnderWay(heal) || isUnderWay(recheck) || confirmTimer?.nextMs !== undefined;
  return heal?.activity === "active" && isOff && !isDue;
}
