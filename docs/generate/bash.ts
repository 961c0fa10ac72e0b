/** packaging/completion/eip-heal.bash */
import { COMMANDS } from "../../src/commands/index.ts";
import type { CommandRow } from "../../src/commands/command.ts";
import {
  COMMAND_GROUPS,
  EVERYWHERE_OFFERS,
  isFile,
  type Offer,
  ownOffers,
  SETTING_OFFERS,
  VALUED,
} from "./completion.ts";
import { wrap } from "./text.ts";

/** Columns of a list of words. */
const WIDTH = 90;

/** The whole file. */
export function bashCompletion(): string {
  const files = VALUED.filter(isFile);
  const known = VALUED.filter((offer) => !isFile(offer) && offer.values.length > 0);
  const unknown = VALUED.filter((offer) => !isFile(offer) && offer.values.length === 0);
  return `# shellcheck shell=bash
# Completion of eip-heal(8) for bash, made by "make docs". Needs nothing but bash itself.

_eip_heal() {
	local current=$2 previous=$3 command='' words word i
	local commands=${list(COMMANDS.map(({ name }) => name))}
	local settings=${list(flagsOf(SETTING_OFFERS))}
	local everywhere=${list(flagsOf(EVERYWHERE_OFFERS))}
	COMPREPLY=()

	# bash takes the = of --option=value for a word of its own.
	if [[ $current == '=' ]]; then
		current=''
	elif [[ $previous == '=' ]]; then
		previous=\${COMP_WORDS[COMP_CWORD - 2]}
	fi

	case $previous in
	${patternOf(files)})
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
${known.map((offer) => `	${offer.flag}) words='${offer.values.join(" ")}' ;;`).join("\n")}
	# Only the machine's owner knows these.
	${patternOf(unknown)})
		return
		;;
	*)
		# The command is the first word that is neither an option nor the value of one.
		for ((i = 1; i < COMP_CWORD; i++)); do
			word=\${COMP_WORDS[i]}
			case $word in
			${patternOf(VALUED)})
				[[ \${COMP_WORDS[i + 1]} == '=' ]] && ((i += 1))
				((i += 1))
				;;
			-*) ;;
			*)
				command=$word
				break
				;;
			esac
		done
		case $command in
		'') words="$commands ${wordsOf(COMMANDS.find(({ name }) => name === "heal"))}" ;;
${COMMAND_GROUPS.map((rows) => `		${rows.map(({ name }) => name).join(" | ")}) words="${wordsOf(rows[0])}" ;;`).join("\n")}
		*) return ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _eip_heal eip-heal
`;
}

const flagsOf = (offers: readonly Offer[]): string[] => offers.map(({ flag }) => flag);

const patternOf = (offers: readonly Offer[]): string =>
  flagsOf(offers)
    .map((flag, at) => (at > 0 && at % 8 === 0 ? `\\\n\t\t\t\t${flag}` : flag))
    .join(" | ");

/** Words in quotes, over as many lines as it takes. */
const list = (words: readonly string[]): string =>
  `'${wrap(words.join(" "), WIDTH).join("\n\t\t")}'`;

/** What can follow a command. */
function wordsOf(row: CommandRow | undefined): string {
  if (row === undefined) throw new Error("there is no such command");
  return [
    ...(row.argument === "COMMAND" ? ["$commands"] : []),
    ...flagsOf(ownOffers(row)),
    ...(row.hasSettings ? ["$settings"] : []),
    "$everywhere",
  ].join(" ");
}
