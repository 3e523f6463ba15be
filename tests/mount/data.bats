#!/usr/bin/env bats
# What files hold beside plain bytes: holes, ranges that are made, zeroed and copied, and the far end of a file.
# (kind.bash: over which mounts.)

load ../lib
load ../expect
load kind

setup() {
    setup_kvfs
    mount_a_store
    CHUNK=65536
}

# python ARGUMENT...: the program on stdin, with what most of them need.
python() {
    { cat "$BATS_TEST_DIRNAME/data.py" - >"$T/program.py"; } && /usr/bin/python3 "$T/program.py" "$@"
}

# takes PATH FROM TO: what the file takes, in bytes.
takes() {
    local bytes=$(($(stat -c %b "$1") * 512))
    [ "$bytes" -ge "$2" ] && [ "$bytes" -le "$3" ] && return 0
    echo "$1 takes $bytes bytes, not $2 to $3"
    return 1
}

# memory: what the store takes, in bytes.
memory() { kv --json info memory | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["memory"]["used_bytes"])'; }

@test "SEEK_DATA and SEEK_HOLE find data and holes" {
    python "$M/file" <<'PYTHON'
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fails(errno.ENXIO, os.lseek, file, 0, os.SEEK_DATA)
fails(errno.ENXIO, os.lseek, file, 0, os.SEEK_HOLE)
os.ftruncate(file, 10 * CHUNK)
fails(errno.ENXIO, os.lseek, file, 0, os.SEEK_DATA)
assert os.lseek(file, 5, os.SEEK_HOLE) == 5
os.pwrite(file, b"x" * 2 * CHUNK, 3 * CHUNK)
os.pwrite(file, b"x" * 5000, 7 * CHUNK)
assert os.lseek(file, 0, os.SEEK_HOLE) == 0
assert os.lseek(file, 0, os.SEEK_DATA) == 3 * CHUNK
assert os.lseek(file, 3 * CHUNK + 7, os.SEEK_DATA) == 3 * CHUNK + 7
assert os.lseek(file, 3 * CHUNK + 7, os.SEEK_HOLE) == 5 * CHUNK
assert os.lseek(file, 5 * CHUNK, os.SEEK_DATA) == 7 * CHUNK
assert os.lseek(file, 7 * CHUNK, os.SEEK_HOLE) == 7 * CHUNK + 8192
fails(errno.ENXIO, os.lseek, file, 8 * CHUNK, os.SEEK_DATA)
fails(errno.ENXIO, os.lseek, file, 10 * CHUNK, os.SEEK_HOLE)
os.ftruncate(file, 100)
os.pwrite(file, b"y" * 100, 0)
assert os.lseek(file, 10, os.SEEK_DATA) == 10
assert os.lseek(file, 10, os.SEEK_HOLE) == 100
assert os.lseek(file, -10, os.SEEK_END) == 90
PYTHON
}

@test "fallocate grows a file by zeros, or leaves its size alone" {
    echo hello >"$M/file"
    fallocate -l 1000000 "$M/file"
    is 1000000 stat -c %s "$M/file"
    is hello head -n 1 "$M/file"
    [ -z "$(tail -c +7 "$M/file" | tr -d '\0')" ]
    fallocate -l 10 "$M/file"
    is 1000000 stat -c %s "$M/file"
    fallocate -n -o 900000 -l 500000 "$M/file"
    is 1000000 stat -c %s "$M/file"
    python "$M/posix" <<'PYTHON'
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.posix_fallocate(file, 10, 20)
assert os.fstat(file).st_size == 30
before = os.fstat(file).st_mtime_ns
os.posix_fallocate(file, 0, 10)
assert os.fstat(file).st_mtime_ns > before
fails(errno.EFBIG, os.posix_fallocate, file, (1 << 44) - 1, 2)
fails(errno.EINVAL, os.posix_fallocate, file, 0, 0)
assert os.fstat(file).st_size == 30
PYTHON
    # Modes that the man page leaves to the file system to have.
    says 1 'not supported' fallocate -c -o 0 -l 65536 "$M/file"
    says 1 'not supported' fallocate -i -o 0 -l 65536 "$M/file"
}

@test "fallocate asks for no more than there is" {
    # An embedded store takes its limit from the machine: here it is a server's each time.
    umount_kvfs "$M"
    stop_server
    start_server --maxmemory 64M
    mount_kvfs "$KV_STORE" "$M"
    : >"$M/file"
    says 1 'No space left' fallocate -l 100M "$M/file"
    is 0 stat -c %s "$M/file"
    fallocate -l 20M "$M/file"
}

@test "a punched hole reads as zeros and gives its memory back" {
    random_file "$T/local" 1000000
    cp "$T/local" "$M/file"
    takes "$M/file" 1000000 1100000
    for file in "$T/local" "$M/file"; do
        fallocate -p -o 70000 -l 600000 "$file"
        fallocate -p -o 999000 -l 600000 "$file"
        fallocate -p -o 5 -l 10 "$file"
    done
    cmp "$T/local" "$M/file"
    kv get file | cmp - "$T/local"
    is 1000000 stat -c %s "$M/file"
    takes "$M/file" 400000 540000
    # A zeroed range does the same, and may lie behind the end.
    for file in "$T/local" "$M/file"; do
        fallocate -z -o 700000 -l 100000 "$file"
        fallocate -z -n -o 900000 -l 200000 "$file"
        fallocate -z -o 950000 -l 200000 "$file"
    done
    is 1150000 stat -c %s "$M/file"
    cmp "$T/local" "$M/file"
}

@test "what is punched in a file is gone for who has it open, and who has it mapped" {
    python "$M/file" <<'PYTHON'
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.pwrite(file, b"x" * 4 * CHUNK, 0)
mapping = mmap.mmap(file, 4 * CHUNK)
assert mapping[CHUNK] == ord("x")
fallocate(file, PUNCH_HOLE | KEEP_SIZE, 100, 2 * CHUNK)
assert mapping[99] == ord("x") and mapping[100] == mapping[CHUNK] == 0 and mapping[2 * CHUNK + 100] == ord("x")
assert os.pread(file, 2 * CHUNK, 100) == bytes(2 * CHUNK)
PYTHON
}

@test "fallocate -d digs holes where there are zeros" {
    random_file "$T/block" 65536
    head -c 1000000 /dev/zero | cat "$T/block" - "$T/block" >"$T/local"
    cp --sparse=never "$T/local" "$M/file"
    takes "$M/file" 1100000 1300000
    fallocate -d "$M/file"
    takes "$M/file" 131072 262144
    cmp "$T/local" "$M/file"
}

@test "cp --sparse=always makes holes, and cp keeps those that are there" {
    random_file "$T/block" 65536
    head -c 3000000 /dev/zero | cat "$T/block" - "$T/block" >"$T/local"
    cp --sparse=always "$T/local" "$M/file"
    cmp "$T/local" "$M/file"
    takes "$M/file" 65536 262144
    [ "$(du -k "$M/file" | cut -f1)" -lt 256 ]
    [ "$(du -k --apparent-size "$M/file" | cut -f1)" -gt 2900 ]
    cp "$M/file" "$M/copy"
    cmp "$T/local" "$M/copy"
    takes "$M/copy" 65536 262144
    cp --sparse=always "$M/file" "$T/back"
    cmp "$T/local" "$T/back"
}

@test "cp on the mount copies in the store, which shares the memory" {
    local before after
    random_file "$T/local" 20000000
    cp "$T/local" "$M/file"
    before=$(memory)
    cp --reflink=auto "$M/file" "$M/copy"
    after=$(memory)
    cmp "$T/local" "$M/copy"
    [ $((after - before)) -lt 1000000 ]
    # They are two files from then on.
    printf XYZ | dd of="$M/copy" bs=1 seek=12345678 conv=notrunc status=none
    printf XYZ | dd of="$T/local" bs=1 seek=12345678 conv=notrunc status=none
    cmp "$T/local" "$M/copy"
    fails cmp "$T/local" "$M/file"
    rm "$M/file"
    cmp "$T/local" "$M/copy"
    kv get copy | cmp - "$T/local"
}

@test "copy_file_range goes by its man page" {
    python "$M" <<'PYTHON'
os.chdir(sys.argv[1])
one, two = (os.open(name, os.O_RDWR | os.O_CREAT) for name in ("one", "two"))
data = random.Random(1).randbytes(3 * CHUNK + 1000)
os.pwrite(one, data, 0)
assert os.copy_file_range(one, two, 1 << 20, 0, 0) == len(data)
assert os.pread(two, 1 << 20, 0) == data
assert os.copy_file_range(one, two, 100, len(data), 0) == 0
assert os.copy_file_range(one, two, 100, len(data) - 7, 5) == 7
data2 = data[:5] + data[-7:] + data[12:]
assert os.pread(two, 1 << 20, 0) == data2
# Somewhere else, and behind the end.
assert os.copy_file_range(one, two, CHUNK, 33, 5 * CHUNK) == CHUNK
assert os.fstat(two).st_size == 6 * CHUNK
assert os.pread(two, 1 << 20, 0) == data2 + bytes(5 * CHUNK - len(data2)) + data[33 : 33 + CHUNK]
# The times of the target move, those of the source stay.
before = os.fstat(one), os.fstat(two)
os.copy_file_range(one, two, 10, 0, 0)
after = os.fstat(one), os.fstat(two)
assert after[0].st_mtime_ns == before[0].st_mtime_ns and after[0].st_ctime_ns == before[0].st_ctime_ns
assert after[1].st_mtime_ns > before[1].st_mtime_ns and after[1].st_ctime_ns > before[1].st_ctime_ns
# Within one file: not onto itself.
fails(errno.EINVAL, os.copy_file_range, one, one, 100, 0, 99)
fails(errno.EINVAL, os.copy_file_range, one, one, 100, 99, 0)
assert os.copy_file_range(one, one, 100, 0, 100) == 100
assert os.copy_file_range(one, one, CHUNK, 0, 2 * CHUNK) == CHUNK
data = bytearray(data)
data[100:200] = data[:100]
data[2 * CHUNK : 3 * CHUNK] = data[:CHUNK]
assert os.pread(one, 1 << 20, 0) == data
# Past the longest that a file may be.
os.ftruncate(two, (1 << 44) - 5)
fails(errno.EFBIG, os.copy_file_range, one, two, 10, 0, (1 << 44) - 5)
reader = os.open("one", os.O_RDONLY)
fails(errno.EBADF, os.copy_file_range, two, reader, 10, 0, 0)
# Not to a directory, nor from one.
dir = os.open(".", os.O_RDONLY)
fails(errno.EISDIR, os.copy_file_range, dir, two, 10, 0, 0)
appender = os.open("two", os.O_WRONLY | os.O_APPEND)
fails(errno.EBADF, os.copy_file_range, one, appender, 10, 0, 0)
PYTHON
}

@test "a file may be 16 TiB long, and no longer" {
    python "$M/file" <<'PYTHON'
END = 1 << 44
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
assert os.pwrite(file, b"x", END - 1) == 1
assert os.fstat(file).st_size == END
assert os.fstat(file).st_blocks * 512 <= 2 * CHUNK
assert os.pread(file, 100, END - 3) == b"\0\0x"
assert os.lseek(file, 0, os.SEEK_DATA) == END - CHUNK
fails(errno.EFBIG, os.pwrite, file, b"x", END)
fails(errno.EFBIG, os.pwrite, file, b"x", 1 << 60)
fails(errno.EFBIG, os.ftruncate, file, END + 1)
fails(errno.EFBIG, fallocate, file, 0, END, 1)
# As much as there is room for.
assert os.pwrite(file, b"abc", END - 2) == 2
assert os.pread(file, 100, END - 3) == b"\0ab"
assert os.fstat(file).st_size == END
os.ftruncate(file, END - 1)
appender = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
assert os.write(appender, b"z") == 1
fails(errno.EFBIG, os.write, appender, b"z")
os.ftruncate(file, 0)
assert os.fstat(file).st_blocks == 0
PYTHON
}

@test "ftruncate cuts and grows, and what was cut off does not come back" {
    python "$M/file" <<'PYTHON'
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
data = random.Random(2).randbytes(5 * CHUNK)
for cut in 0, 1, 100, 255, 256, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5:
    os.pwrite(file, data, 0)
    before = os.fstat(file).st_mtime_ns
    os.ftruncate(file, cut)
    assert os.fstat(file).st_size == cut
    assert os.fstat(file).st_mtime_ns > before
    os.ftruncate(file, 5 * CHUNK)
    assert os.pread(file, 10 * CHUNK, 0) == data[:cut] + bytes(5 * CHUNK - cut), cut
    assert os.fstat(file).st_blocks * 512 <= cut + CHUNK
reader = os.open(sys.argv[1], os.O_RDONLY)
fails(errno.EINVAL, os.ftruncate, reader, 0)
PYTHON
}

@test "O_DIRECT reads and writes go past the kernel's cache" {
    python "$M/file" <<'PYTHON'
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_DIRECT)
cached = os.open(sys.argv[1], os.O_RDWR)
buffer = mmap.mmap(-1, 4 * CHUNK)
buffer[:] = data = random.Random(3).randbytes(4 * CHUNK)
assert os.pwritev(file, [buffer], 8192) == 4 * CHUNK
assert os.pread(cached, 8 * CHUNK, 0) == bytes(8192) + data
os.pwrite(cached, b"cached", CHUNK)
got = mmap.mmap(-1, CHUNK)
assert os.preadv(file, [got], CHUNK) == CHUNK
assert got[:6] == b"cached"
assert os.preadv(file, [got], 4 * CHUNK + 4096) == 4096
PYTHON
    random_file "$T/local" 1048576
    dd if="$T/local" of="$M/dd" bs=128k oflag=direct status=none
    dd if="$M/dd" bs=64k iflag=direct status=none | cmp - "$T/local"
}

@test "many processes append to one file, by lines and by pages, and lose nothing" {
    python "$M/log" <<'PYTHON'
writers, lines = 6, 150
for writer in range(writers):
    if os.fork() == 0:
        file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for line in range(lines):
            os.write(file, f"{writer} {line} ".encode() + b"." * (line * 37 % 5000) + b"\n")
        os._exit(0)
for _ in range(writers):
    assert os.wait()[1] == 0
with open(sys.argv[1]) as file:
    got = [tuple(map(int, line.split()[:2])) for line in file]
assert sorted(got) == [(writer, line) for writer in range(writers) for line in range(lines)]
for writer in range(writers):
    assert [line for who, line in got if who == writer] == list(range(lines))
PYTHON
    [ "$(kv get log | wc -l)" -eq 900 ]
}

@test "dd writes behind the end and into holes, and st_blocks follows" {
    random_file "$T/block" 65536
    dd if="$T/block" of="$M/file" bs=64k seek=100 conv=notrunc status=none
    is $((101 * CHUNK)) stat -c %s "$M/file"
    takes "$M/file" "$CHUNK" "$CHUNK"
    dd if="$T/block" of="$M/file" bs=64k seek=10 conv=notrunc status=none
    takes "$M/file" $((2 * CHUNK)) $((2 * CHUNK))
    dd if="$T/block" of="$M/file" bs=64k seek=10 conv=notrunc status=none
    takes "$M/file" $((2 * CHUNK)) $((2 * CHUNK))
    dd if="$T/block" of="$M/file" bs=1000 count=1 seek=50 conv=notrunc status=none
    # Of a chunk only as much is stored as reaches to its last byte.
    takes "$M/file" $((2 * CHUNK + 50000)) $((2 * CHUNK + 53000))
    is 0 stat -c %b "$M/$(: >"$M/empty" && echo empty)"
}
