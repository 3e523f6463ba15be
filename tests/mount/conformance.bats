#!/usr/bin/env bats
# The mount held against a local file system: each conform_*.py makes the same system calls on both and prints what came
# of them, and the two must print the same. What is left out there on purpose is in kvfs(8), LIMITS. (kind.bash: over
# which mounts.)

load ../lib
load kind

setup() {
    setup_kvfs
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be several users"
    mkdir "$T/local"
    mount -t tmpfs none "$T/local" || skip "cannot mount a tmpfs to compare with"
    # bats makes its folders for one user; the others have to get through.
    open_the_way "$T"
    mount_a_store -o allow_other,suid,dev
}

teardown() {
    umount "$T/local" 2>/dev/null
    teardown_kvfs
}

open_the_way() {
    local folder=$1
    while [ "$folder" != / ]; do
        chmod a+x "$folder"
        folder=$(dirname "$folder")
    done
}

# same PROGRAM CASE
same() {
    local place program=$KV_TOP/tests/mount/conform_$1.py
    for place in "$T/local" "$M"; do
        mkdir "$place/$2"
        PYTHONDONTWRITEBYTECODE=1 timeout 100 /usr/bin/python3 "$program" "$place/$2" "$2" \
            >"$T/said.$(basename "$place")" 2>&1 || true
    done
    # The local one is what is right, so long as it ran to its end.
    ! grep -A 20 '^Traceback' "$T/said.local"
    diff "$T/said.local" "$T/said.mnt"
}

@test "each call gives its error for each wrong path" { same names wrong_paths; }

@test "each call gives its error for each kind of node" { same names wrong_kinds; }

@test "symbolic links are followed 40 deep, and hold 4095 bytes" { same names chains; }

@test "link counts are right for files, directories and what has no name left" { same names links; }

@test "a rename of each kind over each kind, with each flag" { same names renames; }

@test "renames into one's own subtree, of dots, over other names of the same file" { same names renames_odd; }

@test "fifos, sockets and devices of every number are made and carry data" { same names nodes; }

@test "a file made without a name can be given one" { same names unnamed; }

@test "the umask is taken off what is made, of each kind" { same modes masks; }

@test "what is made in a set-group-id directory belongs to its group" { same modes setgid_directories; }

@test "set-user-id and set-group-id go at write, truncate and chown" { same modes setid; }

@test "who is not root may change owners and modes only as chown(2) and chmod(2) say" { same modes owners; }

@test "in a sticky directory only owners take names away" { same modes sticky; }

@test "permission bits allow and refuse each call" { same modes access; }

@test "each call moves exactly the times that it must" { same times moved; }

@test "times are kept to the nanosecond, before 1970 and after 2038" { same times kept; }

@test "who may set which times" { same times permitted; }

@test "the time of birth is shown and stays" { same times born; }

@test "extended attributes of each namespace, on each kind of node, for each user" { same xattrs plain; }

@test "extended attributes of all sizes, into buffers of all sizes" { same xattrs sizes; }

@test "mode and access ACL are two views of one thing" { same xattrs acls; }

@test "what is made in a directory with a default ACL inherits it, and no umask" { same xattrs inherited; }

@test "access is as the ACLs say" { same xattrs enforced; }

@test "a listing has dots, inode numbers and kinds" { same dirs shapes; }

@test "a position in a listing stays good while entries come and go" { same dirs positions; }

@test "an entry that stays is listed exactly once while another process makes and removes others" { same dirs busy; }

@test "a directory is emptied while it is listed" { same dirs emptied; }

@test "trees as deep as a path may be long" { same dirs deep; }

@test "locks of processes and of open files hold on this host" { same dirs locks; }

@test ".kvfs tells about the mount, is not listed, and cannot be changed" {
    local i lines
    [ -z "$(ls -A "$M")" ]
    grep -q '^calls.lookup: [0-9]*$' "$M/.kvfs/stats"
    grep -q "^mountpoint: $M\$" "$M/.kvfs/config"
    [ "$(ls "$M/.kvfs")" = $'config\nstats' ]
    # What is read is fresh, and as long as stat(2) says.
    [ "$(sed -n 's/^calls.total: //p' "$M/.kvfs/stats")" -lt "$(sed -n 's/^calls.total: //p' "$M/.kvfs/stats")" ]
    for i in {1..300}; do mapfile -t lines <"$M/.kvfs/config"; done
    cat "$M/.kvfs/config" >"$T/read"
    [ "$(wc -c <"$T/read")" -eq "$(stat -c %s "$M/.kvfs/config")" ]
    mkdir "$M/dir"
    for i in "rmdir $M/.kvfs" "touch $M/.kvfs/new" "rm -f $M/.kvfs/stats" "mv $M/.kvfs $M/other" "chmod 777 $M/.kvfs" \
        "mv -T $M/dir $M/.kvfs" "ln $M/.kvfs/stats $M/stats"; do
        run $i
        [ "$status" -ne 0 ]
        [[ $output == *"not permitted"* ]]
    done
    for i in "set .kvfs v" "set .kvfs/x v" "mkdir .kvfs" "mv dir .kvfs"; do
        run kv $i
        [ "$status" -ne 0 ]
        [[ $output == *"where mounts show their own files"* ]]
    done
    kv set dir/.kvfs v
    [ "$(cat "$M/dir/.kvfs")" = v ]
}
