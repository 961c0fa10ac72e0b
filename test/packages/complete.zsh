# Prints what zsh offers after a command line, a word a line. Only an interactive shell completes: it is started on a
# terminal of its own, where the words that completion adds are printed too.
#
# usage: zsh -f complete.zsh FOLDER LINE      FOLDER has _eip-heal
if [[ -n $COMPLETE_IN ]]; then
	# The inner shell, which has been told to read this file.
	PS1='' PROMPT_EOL_MARK=''
	fpath=($COMPLETE_IN $fpath)
	autoload -Uz compinit
	compinit -D -u
	compadd() {
		# With -O, -A or -D words are put into an array, and not offered.
		if [[ ${@[1,(i)(-|--)]} == *-[OAD]\ * ]]; then
			builtin compadd "$@"
			return
		fi
		local -a hits
		builtin compadd -O hits "$@"
		(( $#hits )) && print -l -- OFFER:${^hits}
		builtin compadd "$@"
	}
	complete-and-end() {
		zle complete-word
		print -l '' END:
	}
	zle -N complete-and-end
	bindkey '^I' complete-and-end
	print READY:
	return
fi

zmodload zsh/zpty
export COMPLETE_IN=$1
zpty shell zsh -f -i
zpty -w shell "source ${(q)0:A}"
local text
while zpty -r shell text; do [[ $text == *READY:* ]] && break; done
zpty -w -n shell "$2"$'\t'
while zpty -r shell text; do
	text=${text//[$'\r\n']/}
	[[ $text == *END:* ]] && break
	[[ $text == *OFFER:* ]] && print -r -- "${text##*OFFER:}"
done
zpty -d shell
