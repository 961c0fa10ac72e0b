# shellcheck shell=bash
# Completion of eip-heal(8) for bash, made by "make docs". Needs nothing but bash itself.

_eip_heal() {
	local current=$2 previous=$3 command='' words word i
	local commands='heal recheck release status doctor policy check-config help version'
	local settings='--allocation-id --address-tag --tag --pool --pool-tag --pool-takeover --takeover
		--displace --interface --private-ip --deadline --wait-reachable --optional
		--lifecycle-hook --log-level'
	local everywhere='--version --help'
	COMPREPLY=()

	# bash takes the = of --option=value for a word of its own.
	if [[ $current == '=' ]]; then
		current=''
	elif [[ $previous == '=' ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi

	case $previous in
	--config)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--tag) words='allocation-id' ;;
	--pool-tag) words='eip-pool' ;;
	--pool-takeover) words='no oldest' ;;
	--takeover) words='never if-gone newest always' ;;
	--displace) words='yes no' ;;
	--interface) words='0' ;;
	--deadline) words='10min' ;;
	--optional) words='yes no' ;;
	--log-level) words='error warn info debug' ;;
	# Only the machine's owner knows these.
	--allocation-id | --address-tag | --pool | --private-ip | --wait-reachable | --lifecycle-hook | --region | --account | \
				--vpc | --group)
		return
		;;
	*)
		# The command is the first word that is neither an option nor the value of one.
		for ((i = 1; i < COMP_CWORD; i++)); do
			word=${COMP_WORDS[i]}
			case $word in
			--config | --allocation-id | --address-tag | --tag | --pool | --pool-tag | --pool-takeover | --takeover | \
				--displace | --interface | --private-ip | --deadline | --wait-reachable | --optional | --lifecycle-hook | --log-level | \
				--region | --account | --vpc | --group)
				[[ ${COMP_WORDS[i + 1]} == '=' ]] && ((i += 1))
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
		'') words="$commands --config --dry-run --json --verbose $settings $everywhere" ;;
		heal) words="--config --dry-run --json --verbose $settings $everywhere" ;;
		recheck | release | doctor) words="--config --json --verbose $settings $everywhere" ;;
		status) words="--config --json --verbose --wait $settings $everywhere" ;;
		policy) words="--config --verbose --explain --required --any --hook --release --region --account --vpc --group $settings $everywhere" ;;
		check-config) words="--config --verbose $settings $everywhere" ;;
		help) words="$commands $everywhere" ;;
		version) words="$everywhere" ;;
		*) return ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _eip_heal eip-heal
