#!/usr/bin/env bats
# What programs take for granted of a file system: links, attributes, names that change while files are open.
# (kind.bash: over which mounts.)

load ../lib
load ../expect
load kind

setup() {
    setup_kvfs
    mount_a_store
}

@test "a handle opens its directory or file, however deep, after the kernel has dropped all that it knew" {
    [ "$(id -u)" -eq 0 ] || skip "open_by_handle_at(2) needs root"
    mkdir -p "$M/a/b/c/d"
    echo content >"$M/a/b/c/d/file"
    timeout 60 /usr/bin/python3 "$KV_TOP/tests/mount/handles.py" "$M" a a/b/c a/b/c/d a/b/c/d/file
}

@test "a symbolic link leads where it says, and may dangle" {
    kv set dir/file v
    ln -s dir/file "$M/link"
    ln -s nowhere "$M/dangling"
    ln -s dir "$M/to-dir"
    is v cat "$M/link"
    is dir/file readlink "$M/link"
    is dir/file kv readlink link
    is v cat "$M/to-dir/file"
    is v kv get to-dir/file
    is 'symbolic link' stat -c %F "$M/dangling"
    says 1 'No such file' cat "$M/dangling"
    ln -s loop "$M/loop"
    says 1 'Too many levels' cat "$M/loop"
    kv ln -s dir/file by-kv
    is v cat "$M/by-kv"
    rm "$M/link"
    is v cat "$M/dir/file"
}

@test "a hard link is a second name of the same file" {
    echo one >"$M/first"
    mkdir "$M/dir"
    ln "$M/first" "$M/dir/second"
    is 2 stat -c %h "$M/first"
    [ "$M/first" -ef "$M/dir/second" ]
    echo two >>"$M/dir/second"
    is $'one\ntwo' kv get first
    rm "$M/first"
    is 1 stat -c %h "$M/dir/second"
    is $'one\ntwo' cat "$M/dir/second"
    says 1 'hard link not allowed' ln "$M/dir" "$M/dir2"
}

@test "a directory has a link from itself, one from its name, and one from each directory in it" {
    mkdir -p "$M/dir/a" "$M/dir/b"
    : >"$M/dir/file"
    is 4 stat -c %h "$M/dir"
    rmdir "$M/dir/a"
    is 3 stat -c %h "$M/dir"
}

@test "mode, owner and group are kept" {
    : >"$M/file"
    chmod 4751 "$M/file"
    is 4751 stat -c %a "$M/file"
    chmod u-s "$M/file"
    is 751 stat -c %a "$M/file"
    mkdir -m 1777 "$M/dir"
    is 1777 stat -c %a "$M/dir"
    (umask 027 && : >"$M/masked")
    is 640 stat -c %a "$M/masked"
    if [ "$(id -u)" -eq 0 ]; then
        chown 1234:5678 "$M/file"
        is 1234:5678 stat -c %u:%g "$M/file"
        kv --json stat file | is_json 'v["uid"] == 1234 and v["gid"] == 5678'
    fi
}

@test "times are kept to the nanosecond, and change when they should" {
    local before
    : >"$M/file"
    touch -d '1969-12-31 23:59:59.999999999 UTC' "$M/file"
    is '1969-12-31 23:59:59.999999999 +0000' env TZ=UTC0 stat -c %y "$M/file"
    touch -d '2033-01-02 03:04:05.678901234 UTC' "$M/file"
    is '2033-01-02 03:04:05.678901234 +0000' env TZ=UTC0 stat -c %y "$M/file"
    touch -a -d '2001-01-01 00:00:00.5 UTC' "$M/file"
    is '2001-01-01 00:00:00.500000000 +0000' env TZ=UTC0 stat -c %x "$M/file"
    is '2033-01-02 03:04:05.678901234 +0000' env TZ=UTC0 stat -c %y "$M/file"
    before=$(stat -c %.9Z "$M/file")
    chmod 600 "$M/file"
    [ "$(stat -c %.9Z "$M/file")" != "$before" ]
    echo v >"$M/file"
    [ "$(stat -c %Y "$M/file")" -lt 1980000000 ]
    # Reading leaves the time of access alone.
    before=$(stat -c %.9X "$M/file")
    cat "$M/file"
    is "$before" stat -c %.9X "$M/file"
}

@test "extended attributes are set, listed, replaced and removed" {
    echo v >"$M/file"
    setfattr -n user.one -v first "$M/file"
    setfattr -n user.two -v 0x00ff0a "$M/file"
    setfattr -n trusted.three -v t "$M/file" || [ "$(id -u)" -ne 0 ]
    is first getfattr --only-values -n user.one "$M/file"
    getfattr -d -e hex "$M/file" | grep -qx 'user.two=0x00ff0a'
    setfattr -n user.one -v second "$M/file"
    is second getfattr --only-values -n user.one "$M/file"
    setfattr -x user.one "$M/file"
    says 1 'No such attribute' getfattr -n user.one "$M/file"
    /usr/bin/python3 - "$M/file" <<'PYTHON'
import os, sys
path = sys.argv[1]
big = b"x" * 65536
os.setxattr(path, "user.big", big)
assert os.getxattr(path, "user.big") == big
for flags, name, error in (os.XATTR_CREATE, "user.big", FileExistsError), (os.XATTR_REPLACE, "user.none", OSError):
    try:
        os.setxattr(path, name, b"v", flags)
    except error:
        pass
    else:
        raise SystemExit("setxattr minded no flags")
PYTHON
}

@test "the extended attributes user.kv.* tell what the store knows of a file" {
    local version ttl slot
    kv set one/file v
    kv set one/other v
    kv set two v
    version=$(getfattr --only-values -n user.kv.version "$M/one/file")
    kv --json stat one/file | is_json "v['version'] == $version"
    kv set one/file w
    [ "$(getfattr --only-values -n user.kv.version "$M/one/file")" -gt "$version" ]
    slot=$(getfattr --only-values -n user.kv.slot "$M/one/file")
    [ "$slot" -ge 0 ] && [ "$slot" -lt 16384 ]
    is "$slot" getfattr --only-values -n user.kv.slot "$M/one/other"
    says 1 'No such attribute' getfattr -n user.kv.ttl "$M/one/file"
    setfattr -n user.kv.ttl -v 100 "$M/one/file"
    ttl=$(kv ttl one/file)
    [ "$ttl" -gt 90 ] && [ "$ttl" -le 100 ]
    setfattr -x user.kv.ttl "$M/one/file"
    is -1 kv ttl one/file
    kv expire one/file 1h
    [ "$(getfattr --only-values -n user.kv.ttl "$M/one/file")" -gt 3500 ]
    says 1 'not permitted|Operation not' setfattr -n user.kv.version -v 1 "$M/one/file"
    says 1 'Invalid argument' setfattr -n user.kv.ttl -v soon "$M/one/file"
    # They are not listed, so that cp -a leaves them alone.
    is '' getfattr "$M/one/file"
}

@test "a rename replaces what was there, in one step" {
    # Somebody who looks all the time must always find the file, with a whole value.
    /usr/bin/python3 - "$M" <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
def write(name, text):
    with open(name, "w") as file:
        file.write(text)
write("file", "new 0")
reader = os.fork()
if reader == 0:
    for i in range(500):
        with open("file") as file:
            text = file.read()
        if not text.startswith("new "):
            print(f"read {text!r}")
            os._exit(1)
    os._exit(0)
for i in range(1, 501):
    write("other", f"new {i}")
    os.rename("other", "file")
assert os.waitpid(reader, 0)[1] == 0
PYTHON
    is 'new 500' kv get file
    [ ! -e "$M/other" ]
}

@test "a rename goes by the rules of rename(2)" {
    mkdir -p "$M/dir/sub" "$M/empty" "$M/full"
    : >"$M/full/file"
    : >"$M/file"
    mv -T "$M/dir" "$M/empty"
    [ -d "$M/empty/sub" ]
    says 1 'Directory not empty|File exists' mv -T "$M/empty" "$M/full"
    says 1 'to a subdirectory of itself' mv "$M/full" "$M/full/below"
    says 1 'cannot overwrite|Is a directory' mv -T "$M/file" "$M/full"
    says 1 'cannot overwrite|Not a directory' mv -T "$M/full" "$M/file"
    echo 1 >"$M/one"
    echo 2 >"$M/two"
    /usr/bin/python3 - "$M/one" "$M/two" <<'PYTHON'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
one, two = (os.fsencode(path) for path in sys.argv[1:])
AT_FDCWD, NOREPLACE, EXCHANGE = -100, 1, 2
assert libc.renameat2(AT_FDCWD, one, AT_FDCWD, two, NOREPLACE) == -1
assert ctypes.get_errno() == 17, ctypes.get_errno()
assert libc.renameat2(AT_FDCWD, one, AT_FDCWD, two, EXCHANGE) == 0
PYTHON
    is 2 cat "$M/one"
    is 1 cat "$M/two"
}

@test "what a program appends comes behind what kv has appended meanwhile" {
    local i
    exec 5>>"$M/log"
    for i in {1..20}; do
        echo "program $i" >&5
        kv append log "kv $i"$'\n'
    done
    exec 5>&-
    for i in {1..20}; do
        printf 'program %s\nkv %s\n' "$i" "$i"
    done >"$T/expected"
    kv get log | cmp - "$T/expected"
    cmp "$M/log" "$T/expected"
}

@test "an open file that has lost its name can still be read and written" {
    echo content >"$M/file"
    exec 5<>"$M/file"
    rm "$M/file"
    says 1 ENOENT kv get file
    is content cat /proc/self/fd/5 </dev/null 5<&5
    echo more >>/proc/self/fd/5
    is 0 stat -L -c %h /proc/self/fd/5 5<&5
    echo another >"$M/file"
    is $'content\nmore' cat /proc/self/fd/5 5<&5
    is another cat "$M/file"
    exec 5>&-
    # What was held is given back: one file and the root remain.
    wait_until nodes_are 2
}

nodes_are() { kv --json info keyspace | is_json "v['keyspace']['nodes'] == $1" 2>/dev/null; }

@test "an open file that a rename has replaced can still be read" {
    echo old >"$M/file"
    exec 5<"$M/file"
    echo new >"$M/other"
    mv "$M/other" "$M/file"
    is old cat <&5
    exec 5<&-
    is new cat "$M/file"
}

@test "5,000 entries are listed once each, and rm -rf removes them all while it lists" {
    mkdir "$M/dir"
    (cd "$M/dir" && seq -f 'file-%g' 5000 | xargs touch)
    [ "$(find "$M/dir" -type f | sort -u | wc -l)" -eq 5000 ]
    [ "$(find "$M/dir" -type f | wc -l)" -eq 5000 ]
    [ "$(kv ls dir | wc -l)" -eq 5000 ]
    kv ls dir | LC_ALL=C sort -c
    rm -rf "$M/dir"
    [ ! -e "$M/dir" ]
    is '' kv ls
}

@test "an entry that stays is listed exactly once while others come and go" {
    /usr/bin/python3 - "$M" <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
stay = {f"stay-{i}" for i in range(700)}
for name in stay | {f"go-{i}" for i in range(700)}:
    open(name, "w").close()
seen = []
with os.scandir(".") as listing:
    for i, entry in enumerate(listing):
        seen.append(entry.name)
        if i % 2 == 0 and i // 2 < 700:
            os.unlink(f"go-{i // 2}")
            open(f"come-{i // 2}", "w").close()
kept = [name for name in seen if name in stay]
assert len(kept) == len(stay) and set(kept) == stay, (len(kept), len(stay))
assert len(seen) == len(set(seen))
PYTHON
}

@test "a directory that is not empty cannot be removed, a file not as a directory" {
    kv set dir/file v
    says 1 'Directory not empty' rmdir "$M/dir"
    says 4 ENOTEMPTY kv rmdir dir
    says 1 'Not a directory' rmdir "$M/dir/file"
    says 1 'Is a directory' rm "$M/dir"
    is v kv get dir/file
}

@test "fifos, sockets and devices are names like others" {
    local reader
    mkfifo "$M/fifo"
    cat "$M/fifo" >"$T/out" 3>&- &
    reader=$!
    echo through >"$M/fifo"
    wait "$reader"
    is through cat "$T/out"
    is fifo stat -c %F "$M/fifo"
    says 4 EINVAL kv get fifo
    if [ "$(id -u)" -eq 0 ]; then
        mknod "$M/null" c 1 3
        is 'character special file 1,3' stat -c '%F %t,%T' "$M/null"
    fi
}

@test "df shows the store's memory, and statfs the longest name" {
    df -B1 --output=size,used,avail "$M" | tail -1 >"$T/df"
    read -r size used available <"$T/df"
    [ "$size" -gt $((64 << 20)) ]
    [ "$used" -lt "$size" ]
    [ "$available" -le "$size" ]
    is 255 stat -f -c %l "$M"
    df -i "$M"
    head -c $((8 << 20)) /dev/urandom >"$M/file"
    [ "$(df -B1 --output=used "$M" | tail -1)" -gt $((used + (7 << 20))) ]
}

@test "what a file takes in memory shows in its blocks" {
    head -c 1000000 /dev/zero | tr '\0' x >"$M/full"
    truncate -s 1000000000 "$M/sparse"
    [ "$(stat -c %b "$M/full")" -ge 1950 ]
    [ "$(stat -c %b "$M/sparse")" -lt 1000 ]
    [ "$(stat -c %s "$M/sparse")" -eq 1000000000 ]
    [ "$(du -k "$M/sparse" | cut -f1)" -lt 500 ]
}

@test "the permissions of a file are enforced" {
    [ "$(id -u)" -eq 0 ] || skip "only root can become somebody else"
    command -v setpriv >/dev/null || skip "there is no setpriv"
    fusermount3 -u "$M"
    wait_until no_kvfs_runs
    mount_kvfs "$KV_STORE" "$M" -o allow_other
    echo secret >"$M/secret"
    chmod 600 "$M/secret"
    echo open >"$M/open"
    mkdir -m 755 "$M/dir"
    # From the inside, where nobody has to pass the folders above.
    cd "$M"
    says 1 'Permission denied' setpriv --reuid 65534 --regid 65534 --clear-groups cat secret
    is open setpriv --reuid 65534 --regid 65534 --clear-groups cat open
    says 1 'Permission denied' setpriv --reuid 65534 --regid 65534 --clear-groups touch dir/file
    cd /
}
