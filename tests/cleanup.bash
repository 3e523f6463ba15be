# Takes away what a test leaves behind: mounts below a folder, and processes that name that folder in their environment.
# Used by tests/run-one for a whole file and by tests/lib.bash for one test.

# mounts_below FOLDER: the mount points, last mounted first. Reads the kernel's table, where a space is written \040: asking
# the mount itself could hang.
mounts_below() {
    awk -v folder="$1/" '
        { gsub(/\\040/, " ", $2) }
        index($2 "/", folder) == 1 { at[++n] = $2 }
        END { while (n) print at[n--] }' /proc/self/mounts
}

# unmount POINT: now if it can be, else as soon as nobody uses it.
unmount() {
    fusermount3 -u "$1" 2>/dev/null || fusermount3 -uz "$1" 2>/dev/null || umount -l "$1" 2>/dev/null
}

# processes_of FOLDER: the processes that were started with KV_TEST_FOLDER=FOLDER, or KV_TEST_ONE=FOLDER. (The shells that
# ask set these variables after they were started, and are not among them.)
processes_of() {
    local found pid state
    grep -lzxF -e "KV_TEST_FOLDER=$1" -e "KV_TEST_ONE=$1" /proc/[0-9]*/environ 2>/dev/null | while IFS= read -r found; do
        pid=${found//[!0-9]/}
        state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
        case $state in
        "" | Z* | X*) ;;
        *) echo "$pid" ;;
        esac
    done
}

# remove_leftovers FOLDER: leaves nothing of it mounted or running; prints what there was that should not have been.
remove_leftovers() {
    local point pid pids deadline
    while IFS= read -r point; do
        [ -n "$point" ] && unmount "$point" && echo -n "a mount at $point; "
    done <<<"$(mounts_below "$1")"
    # A daemon whose mount has gone ends by itself; it is given a moment.
    deadline=$((SECONDS + 3))
    while pids=$(processes_of "$1") && [ -n "$pids" ] && [ $SECONDS -lt $deadline ]; do
        sleep 0.1
    done
    for pid in $pids; do
        echo -n "process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)); "
        kill -KILL "$pid" 2>/dev/null
    done
}
