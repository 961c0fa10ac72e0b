/** packaging/completion/eip-heal.fish */
import { type CommandRow, EVERYWHERE } from "../../src/commands/command.ts";
import { COMMANDS } from "../../src/commands/index.ts";
import { isFile, type Offer, offersOf, quoted, VALUED } from "./completion.ts";

/** The whole file. */
export function fishCompletion(): string {
  return `# Completion of eip-heal(8) for fish, made by "make docs".

# The command of this line: the first word that is neither an option nor the value of one.
function __eip_heal_command
    set -l is_value no
    for word in (commandline -opc)[2..-1]
        if test $is_value = yes
            set is_value no
            continue
        end
        switch $word
            case ${VALUED.map(({ flag }) => flag).join(" ")}
                set is_value yes
            case '-*'
            case '*'
                echo $word
                return 0
        end
    end
    return 1
end

# Is it one of these? Without a command it is heal.
function __eip_heal_is
    set -l command (__eip_heal_command)
    or set command heal
    contains -- $command $argv
end

complete -c eip-heal -f
${COMMANDS.map(commandLine).join("\n")}
${optionLines().join("\n")}
`;
}

function commandLine({ name, summary }: CommandRow): string {
  const takers = COMMANDS.filter(({ argument }) => argument === "COMMAND").map((row) => row.name);
  const condition = `not __eip_heal_command; or __eip_heal_is ${takers.join(" ")}`;
  return `complete -c eip-heal -n ${quoted(condition)} -a ${name} -d ${quoted(summary)}`;
}

/** Each option once, with the commands that it goes with. */
function optionLines(): string[] {
  const all = new Map<string, { offer: Offer; commands: string[] }>();
  for (const row of COMMANDS) {
    for (const offer of offersOf(row)) {
      const known = all.get(offer.flag) ?? { offer, commands: [] };
      all.set(offer.flag, { offer, commands: [...known.commands, row.name] });
    }
  }
  return [...all.values()].map(({ offer, commands }) => {
    const name = offer.flag.slice(2);
    const short = EVERYWHERE[name]?.short;
    const value =
      offer.placeholder === undefined
        ? ""
        : isFile(offer)
          ? " -r -F"
          : offer.values.length > 0
            ? ` -x -a ${quoted(offer.values.join(" "))}`
            : " -x";
    return `complete -c eip-heal -n ${quoted(`__eip_heal_is ${commands.join(" ")}`)}${
      short === undefined ? "" : ` -s ${short}`
    } -l ${name}${value} -d ${quoted(offer.meaning)}`;
  });
}
