/** What a drop-in adds to the environment of eip-heal.service, and a command that is run by hand does not have. */
import type { Unit } from "../model/unit.ts";

/** Whether a variable is one that the program reads. */
const isRead = (name: string) =>
  /^(?:(?:EIP_HEAL|AWS)_|(?:https?|no)_proxy$|(?:HTTPS?|NO)_PROXY$)/.test(name);

export interface UnseenEnvironment {
  /** What the unit has and this command does not: variables, files that cannot be read, and the drop-ins. */
  readonly what: string;
  /** How to run this program with the same. */
  readonly command: string;
}

/**
 * The difference, or undefined if there is none.
 *
 * @param isGiven whether this variable is also set for this command
 * @param settingsFile it is read by this command, too
 * @param words of the command that is to be run
 */
export function unseenEnvironment(
  { variables, environmentFiles, dropIns }: Unit,
  isGiven: (name: string) => boolean,
  settingsFile: string,
  words: string,
): UnseenEnvironment | undefined {
  const unseen = (names: readonly string[]) =>
    names.filter((name) => isRead(name) && !isGiven(name));
  const files = environmentFiles.filter(
    ({ path, variables: names }) =>
      path !== settingsFile && (names === undefined || unseen(names).length > 0),
  );
  const direct = unseen(variables);
  if (files.length === 0 && direct.length === 0) return undefined;

  const unread = files.filter(({ variables: names }) => names === undefined);
  const names = [...direct, ...files.flatMap((file) => unseen(file.variables ?? []))];
  const parts = [
    ...new Set(names),
    ...unread.map(({ path }) => `what ${path} sets, which only root may read`),
  ];
  const places = [...files.map(({ path }) => path), ...dropIns];
  const from = places.length === 0 ? "" : ` (${places.join(", ")})`;
  const set = direct.map((name) => `${name}=...`);
  const command =
    files.length === 0
      ? `env ${set.join(" ")} ${words}`
      : [
          "sudo systemd-run --quiet --pipe --wait",
          ...files.map(({ path }) => `-p EnvironmentFile=${path}`),
          ...set.map((assignment) => `-E ${assignment}`),
          words,
        ].join(" ");
  return { what: `${parts.join(", ")}${from}`, command };
}
