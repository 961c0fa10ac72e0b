# shellcheck shell=bash
# Completion of eip-heal(8) for bash. Needs nothing but bash itself.

_eip_heal() {
	local current=$2 previous=$3
	COMPREPLY=()

	# bash takes the = of --flag=value for a word of its own.
	if [[ $current == '=' ]]; then
		current=''
	elif [[ $previous == '=' ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi

	local words
	case $previous in
	--config)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--takeover) words='never if-gone newest always' ;;
	--pool-takeover) words='no oldest' ;;
	--displace | --optional) words='yes no' ;;
	--log-level) words='error warn info debug' ;;
	--tag) words='allocation-id' ;;
	--pool-tag) words='eip-pool' ;;
	--interface) words='0' ;;
	--deadline) words='90s 10min 1h' ;;
	# Only the machine's owner knows these.
	--allocation-id | --pool | --private-ip | --lifecycle-hook | --region | --account | --vpc | --group) return ;;
	*)
		words='heal recheck release status doctor policy check-config help version
			--config --dry-run --json --verbose
			--explain --required --any --hook --release --region --account --vpc --group --version --help
			--allocation-id --tag --pool --pool-tag --pool-takeover --takeover --displace
			--interface --private-ip --deadline --optional --lifecycle-hook --log-level'
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _eip_heal eip-heal
