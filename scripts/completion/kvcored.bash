# bash completion for kvcored: its options, as its own help tells them.
_kvcored() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --config | -c | --password-file | --unix) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    --dir | -d) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W 'error warning info debug' -- "$cur") ;;
    --maxmemory-policy) mapfile -t COMPREPLY < <(compgen -W 'noeviction allkeys-lru allkeys-lfu volatile-ttl' -- "$cur") ;;
    --durability) mapfile -t COMPREPLY < <(compgen -W 'memory written synced' -- "$cur") ;;
    --persistence) mapfile -t COMPREPLY < <(compgen -W 'log+snapshots log snapshots none' -- "$cur") ;;
    --snapshot-at-exit) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$cur") ;;
    --save | --keep-snapshots | --listen | -l | --maxmemory | --max-connections | --lease) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$(command kvcored --help | grep -oE -- '--[a-z][a-z-]*')" -- "$cur") ;;
    esac
}

complete -o filenames -F _kvcored kvcored
