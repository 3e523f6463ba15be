# What tests say about the outcome of a command: `load ../expect` in the .bats file, behind `load ../lib`.
# (bats does not see that `! command` fails in the middle of a test; these it does.)

# fails COMMAND...: any failure will do, but it must end by itself.
fails() {
    if timeout 20 "$@"; then
        echo "this should have failed: $*"
        return 1
    fi
    [ $? -ne 124 ]
}

# says STATUS PATTERN COMMAND...: it ends with this status, and what it prints, on stdout or stderr, has a line that the
# extended regular expression PATTERN describes; with an empty PATTERN that does not matter.
says() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    timeout 20 "$@" >"$T/said" 2>&1 </dev/null || status=$?
    if [ "$status" -eq "$wanted" ]; then
        [ -n "$pattern" ] || return 0
        grep -qaE -- "$pattern" "$T/said" && return 0
    fi
    echo "expected status $wanted and /$pattern/ of: ${*:1:12}"
    echo "got status $status and:"
    head -c 2000 "$T/said"
    return 1
}

# is EXPECTED COMMAND...: it succeeds, and prints exactly this, give or take newlines at the end.
is() {
    local expected=$1 status=0 got
    shift
    got=$(timeout 20 "$@" 2>"$T/complaint") || status=$?
    if [ "$status" -eq 0 ] && [ "$got" = "$expected" ]; then
        return 0
    fi
    echo "expected '$expected' of: ${*:1:12}"
    echo "got status $status and '${got:0:2000}'"
    head -c 2000 "$T/complaint"
    return 1
}

# is_json PROGRAM: stdin is JSON of which the Python expression PROGRAM, over the parsed value v, is true.
is_json() {
    /usr/bin/python3 -c 'import json, sys
text = sys.stdin.read()
v = json.loads(text)
assert eval("(" + sys.argv[1] + ")"), text[:2000]' "$1"
}

# random_file PATH BYTES: bytes that look random and are the same each time, so that a failure can be repeated.
random_file() {
    /usr/bin/python3 -c 'import random, sys
sys.stdout.buffer.write(random.Random(int(sys.argv[1])).randbytes(int(sys.argv[1])))' "$2" >"$1"
}
