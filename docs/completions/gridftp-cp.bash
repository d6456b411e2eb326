_gridftp__cp() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="gridftp__cp"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        gridftp__cp)
            opts="-r -f -0 -p -n -q -v -h -V --recursive --from-file --files-from --null --include --exclude --links --no-glob --or-from --optional --shard --partial-offset --partial-length --create-dest --verify --sync --overwrite --delete --preserve --fsync --ascii --resume --journal --retries --retry-delay --retry-within --dumpfile --timeout-connect --timeout-reply --timeout-stall --timeout-checksum --timeout-total --concurrency --parallel --fast --bwlimit --tcp-buffer-size --block-size --through-client --stripe --striped-block-size --cred --source-cred --dest-cred --data-cred --subject --source-subject --dest-subject --protect --nodcau --dcsafe --dcpriv --authz-assert --source-authz-assert --dest-authz-assert --relative-paths --alias-file --dump-only --dry-run --list --quiet --verbose --verbose-perf --explain --progress --json --color --debugftp --help --version --data-channel-stack --source-data-channel-stack --dest-data-channel-stack --udt --file-system-stack --source-file-system-stack --dest-file-system-stack --pipe --source-pipe --dest-pipe --module-name --module-parameters --source-module-name --source-module-parameters --dest-module-name --dest-module-parameters --delayed-pasv --no-allocate --generate --versions --continue-on-error --binary --restart --rst-retries --rst-interval --ipv6 --gridftp2 --no-gridftp2 --cache-authz-assert --pipeline --pipeline-queue --sync-level --checksum-alg --verify-checksum --allocate --copy-perms"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --from-file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -f)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --files-from)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --links)
                    COMPREPLY=($(compgen -W "follow copy skip" -- "${cur}"))
                    return 0
                    ;;
                --or-from)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --shard)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --partial-offset)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --partial-length)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --verify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sync)
                    COMPREPLY=($(compgen -W "size time checksum" -- "${cur}"))
                    return 0
                    ;;
                --overwrite)
                    COMPREPLY=($(compgen -W "always never different" -- "${cur}"))
                    return 0
                    ;;
                --preserve)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --journal)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --retries)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --retry-delay)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --retry-within)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dumpfile)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --timeout-connect)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --timeout-reply)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --timeout-stall)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --timeout-checksum)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --timeout-total)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --concurrency)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --parallel)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -p)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --bwlimit)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --tcp-buffer-size)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --block-size)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --striped-block-size)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cred)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source-cred)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dest-cred)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --data-cred)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --subject)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source-subject)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dest-subject)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --protect)
                    COMPREPLY=($(compgen -W "clear safe private" -- "${cur}"))
                    return 0
                    ;;
                --authz-assert)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source-authz-assert)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dest-authz-assert)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --alias-file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dump-only)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --list)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --progress)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --data-channel-stack)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source-data-channel-stack)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dest-data-channel-stack)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --file-system-stack)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source-file-system-stack)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dest-file-system-stack)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --pipe)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source-pipe)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dest-pipe)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --module-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --module-parameters)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source-module-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --source-module-parameters)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dest-module-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dest-module-parameters)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --generate)
                    COMPREPLY=($(compgen -W "man bash zsh fish" -- "${cur}"))
                    return 0
                    ;;
                --rst-retries)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --rst-interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --pipeline-queue)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sync-level)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --checksum-alg)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _gridftp__cp -o nosort -o bashdefault -o default gridftp-cp
else
    complete -F _gridftp__cp -o bashdefault -o default gridftp-cp
fi
