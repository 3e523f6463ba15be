# bash completion for kv: its commands and options, as its own help tells them, and the keys of the store that the
# command line or $KV_STORE names.

# The words before the cursor; unlike COMP_WORDS not cut at the ':' of a store's address. Sets words, cur and prev.
_kv_words() {
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    cur=${words[-1]} prev=${words[-2]:-}
}

# The part of the answers that stands before the last ':' or '=' is on the line already, as bash sees it.
_kv_cut_answers() {
    local done=${cur%"${cur##*[:=]}"} i
    [[ $COMP_WORDBREAKS == *:* ]] || return
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=${COMPREPLY[i]#"$done"}
    done
}

# Keys below what is typed of one; a directory goes on with '/'.
_kv_keys() {
    local dir="" type name
    [[ $cur == */* ]] && dir=${cur%/*}
    while IFS= read -r name; do
        type=${name:0:1} name=${name:1}
        [[ $type == d ]] && name+=/ && compopt -o nospace
        name=${dir:+$dir/}$name
        [[ $name == "$cur"* ]] && COMPREPLY+=("$name")
    done < <(command kv "${store[@]}" --timeout 1s ls -l --limit 1000 ${dir:+"$dir"} 2>/dev/null </dev/null |
        sed -E 's/^(.)[^ ]+ +([^ ]+ +){7}/\1/')
}

_kv() {
    local words cur prev word command="" store=() i
    _kv_words
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        case $word in
        --durability) i=$((i + 1)) ;;
        -s | --store | --password-file) store+=("$word" "${words[++i]}") ;;
        --timeout) ((++i)) ;;
        --store=* | --password-file=*) store+=("$word") ;;
        -*) ;;
        *) command=$word && break ;;
        esac
    done
    case $prev in
    -s | --store)
        mapfile -t COMPREPLY < <(compgen -W 'kv:// kv+unix://' -- "$cur" && compgen -d -- "$cur")
        compopt -o nospace
        ;;
    --durability) mapfile -t COMPREPLY < <(compgen -W 'written synced' -- "$cur") ;;
    --password-file | --repair) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    --timeout | --ttl | --limit | --after | --depth | --if-version | --mode | -m) ;;
    *)
        if [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$(command kv help $command 2>/dev/null | grep -oE -- '--[a-z][a-z-]*')" -- "$cur")
        elif [[ -z $command || $command == help ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$(command kv help | sed -nE '/^Commands:/,/^$/s/^  ([a-z]+) .*/\1/p')" -- "$cur")
        else
            case $command in
            import | export | dump | load | check) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
            esac
            [[ $command == dump || $command == load || $command == check ]] || _kv_keys
        fi
        ;;
    esac
    _kv_cut_answers
}

complete -o filenames -F _kv kv
