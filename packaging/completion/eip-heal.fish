# Completion of eip-heal(8) for fish, made by "make docs".

# The command of this line: the first word that is neither an option nor the value of one.
function __eip_heal_command
    set -l is_value no
    for word in (commandline -opc)[2..-1]
        if test $is_value = yes
            set is_value no
            continue
        end
        switch $word
            case --config --allocation-id --address-tag --tag --pool --pool-tag --pool-takeover --takeover --displace --interface --private-ip --deadline --wait-reachable --optional --lifecycle-hook --log-level --region --account --vpc --group
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
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a heal -d 'bring this instance back under its Elastic IP (the default)'
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a recheck -d 'heal if the address is not where it was verified; asks EC2 only then'
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a release -d 'give the address up, if this instance holds it'
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a status -d 'show in one look where the address is and what the last run did'
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a doctor -d 'check all that a heal needs, name what is wrong and its cure'
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a policy -d 'print the smallest IAM policy for these settings'
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a check-config -d 'say whether flags, environment and settings file are in order'
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a help -d 'print this help, or that of a command'
complete -c eip-heal -n 'not __eip_heal_command; or __eip_heal_is help' -a version -d 'print the version'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l config -r -F -d 'settings file (default: /etc/eip-heal.conf)'
complete -c eip-heal -n '__eip_heal_is heal' -l dry-run -d 'say what would be done, change nothing'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor' -l json -d 'print the result as JSON on standard output'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l verbose -d 'log each step; the same as --log-level debug'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l allocation-id -x -d 'the address, by allocation id or public IPv4; overrides the instance tag'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l address-tag -x -d 'tag of the address, which no other address has'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l tag -x -a 'allocation-id' -d 'instance tag that holds the allocation id'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l pool -x -d 'a pool: tag of its addresses, or a list of them'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l pool-tag -x -a 'eip-pool' -d 'instance tag that names the pool'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l pool-takeover -x -a 'no oldest' -d 'may it take from the oldest running instance of a full pool'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l takeover -x -a 'never if-gone newest always' -d 'when to take the address from another instance'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l displace -x -a 'yes no' -d 'may it replace another Elastic IP of this instance'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l interface -x -a '0' -d 'network interface: device index, id or MAC'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l private-ip -x -d 'private IPv4 address to map to; default: the primary one'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l deadline -x -a '10min' -d 'how long one run keeps trying, 1s to 1h'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l wait-reachable -x -d 'URL that has to show the address before that counts as success'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l optional -x -a 'yes no' -d 'yes: no tag and no setting is fine (exit status 0)'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l lifecycle-hook -x -d 'lifecycle hook of the group to complete with CONTINUE or ABANDON'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config' -l log-level -x -a 'error warn info debug' -d 'how much is logged'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config help version' -l version -d 'print the version'
complete -c eip-heal -n '__eip_heal_is heal recheck release status doctor policy check-config help version' -s h -l help -d 'print the help of this command'
complete -c eip-heal -n '__eip_heal_is status' -l wait -d 'first wait until no heal and no recheck is under way'
complete -c eip-heal -n '__eip_heal_is policy' -l explain -d 'say on standard error why each statement is there'
complete -c eip-heal -n '__eip_heal_is policy' -l required -d 'only what a heal cannot do without'
complete -c eip-heal -n '__eip_heal_is policy' -l any -d 'for any address of the account'
complete -c eip-heal -n '__eip_heal_is policy' -l hook -d 'with a lifecycle hook of this instance'\''s group'
complete -c eip-heal -n '__eip_heal_is policy' -l release -d 'with eip-heal release'
complete -c eip-heal -n '__eip_heal_is policy' -l region -x -d 'for this region; default: this instance'\''s'
complete -c eip-heal -n '__eip_heal_is policy' -l account -x -d 'for this account; default: this instance'\''s'
complete -c eip-heal -n '__eip_heal_is policy' -l vpc -x -d 'for instances with several interfaces, in this VPC'
complete -c eip-heal -n '__eip_heal_is policy' -l group -x -d 'with a lifecycle hook of this Auto Scaling group'
