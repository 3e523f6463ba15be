# bash completion for kvfs, and for mount.kvfs, as which it is installed too: a store, a directory, and what stands
# behind -o.
_kvfs() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} given
    local options='uid= gid= umask= soft hard timeo= allow_other auto_unmount nonempty ro nosuid nodev noexec sync
        async dirsync noatime debug durability=memory durability=written durability=synced persistence=log+snapshots
        persistence=log persistence=snapshots persistence=none save= keep-snapshots= snapshot-at-exit=yes
        snapshot-at-exit=no'
    if [[ $prev == -o ]]; then
        given=${cur%"${cur##*,}"}
        mapfile -t COMPREPLY < <(compgen -P "$given" -W "$options" -- "${cur##*,}")
        compopt -o nospace
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-o -f -d -h --help -V --version' -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -d -- "$cur" && compgen -W 'kv:// kv+unix://' -- "$cur")
        compopt -o filenames
    fi
}

complete -F _kvfs kvfs mount.kvfs
