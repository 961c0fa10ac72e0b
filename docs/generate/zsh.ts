/** packaging/completion/_eip-heal */
import { COMMANDS } from "../../src/commands/index.ts";
import type { CommandRow } from "../../src/commands/command.ts";
import {
  COMMAND_GROUPS,
  EVERYWHERE_OFFERS,
  isFile,
  type Offer,
  ownOffers,
  quoted,
  SETTING_OFFERS,
} from "./completion.ts";

/** The whole file. */
export function zshCompletion(): string {
  return `#compdef eip-heal
# Completion of eip-heal(8) for zsh, made by "make docs".

_eip-heal() {
	local curcontext=$curcontext state line
	local -A opt_args
	local -a commands settings everywhere
	commands=(
${COMMANDS.map(({ name, summary }) => `		${quoted(`${name}:${summary}`)}`).join("\n")}
	)
	settings=(
${specs(SETTING_OFFERS)}
	)
	everywhere=(
${specs(EVERYWHERE_OFFERS)}
	)

	# Without a command it is heal.
	_arguments -C \\
${COMMANDS.filter(({ name }) => name === "heal")
  .map((row) => argumentsOf(row, 2))
  .join("")} \\
		'(-): :->command' \\
		'(-)*:: :->rest' && return

	case $state in
	command) _describe -t commands command commands ;;
	rest)
		case $words[1] in
${COMMAND_GROUPS.map(branch).join("\n")}
		esac
		;;
	esac
}

_eip-heal "$@"
`;
}

function branch(rows: readonly [CommandRow, ...CommandRow[]]): string {
  return `		${rows.map(({ name }) => name).join(" | ")})
			_arguments \\
${argumentsOf(rows[0], 4)}
			;;`;
}

/** What `_arguments` is told of a command, a line each. */
function argumentsOf(row: CommandRow, indent: number): string {
  const shared = row.hasSettings ? "$settings $everywhere" : "$everywhere";
  const names = COMMANDS.map(({ name }) => name).join(" ");
  return [
    ...ownOffers(row).map(specOf),
    shared,
    ...(row.argument === "COMMAND" ? [`'1:command:(${names})'`] : []),
  ]
    .map((line) => "\t".repeat(indent) + line)
    .join(" \\\n");
}

const specs = (offers: readonly Offer[]) =>
  offers.map((offer) => `		${specOf(offer)}`).join("\n");

/** As _arguments takes it: `--option=[meaning]:name of the value:(values)`. */
function specOf(offer: Offer): string {
  const { flag, meaning, placeholder, values } = offer;
  const told = `[${meaning.replaceAll(/[[\]]/g, "\\$&")}]`;
  if (placeholder === undefined) return quoted(`${flag}${told}`);
  const action = isFile(offer) ? "_files" : values.length > 0 ? `(${values.join(" ")})` : " ";
  return quoted(`${flag}=${told}:${placeholder.toLowerCase()}:${action}`);
}
