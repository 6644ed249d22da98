# Pipes: descriptors, data, vectors, blocking, what is on and what is closed.
pipe2($fd, O_NONBLOCK|O_CLOEXEC)
expect $fd == [0, 1]
expect fcntl($fd[0], F_GETFD) == FD_CLOEXEC
expect fcntl($fd[0], F_GETFL) & O_NONBLOCK
expect write($fd[1], "hello\n\x00\"q\"") == 10
expect ioctl($fd[0], FIONREAD, $n) == 0
expect $n == 10
expect read $fd[0], $b, 64 == 10
expect $b == "hello\n\0\x22q\042"
expect $b[0] == 'h'
expect $b[1:5] == "ello"
expect read($fd[0], _, 1) == EAGAIN
expect writev($fd[1], ["ab", "cd", "", "e"]) == 5
$v = [2, 10]
expect readv($fd[0], $v) == 5
expect $v == ["ab", "cde"]
expect writev($fd[1], [{"abc", 2}, {iov_base="xyz", iov_len=1}]) == 3
expect read($fd[0], $b) == 3
expect $b == "abx"
expect preadv($fd[0], [1], 1, 0) == ESPIPE
expect lseek($fd[0], 0, SEEK_SET) == ESPIPE

# It is full at some time.
expect fcntl($fd[1], F_SETPIPE_SZ, 4K) == 4096
expect write($fd[1], "x" * 5000) == 4096
expect write($fd[1], "y") == -EAGAIN
expect read($fd[0], $b, 8K) == 4096
expect $b == "x" * 4096

# Somebody waits: a call beside the script.
pipe($w)
spawn reader read($w[0], $late, 100)
expect write($w[1], "first") == 5
expect join reader == 5
expect $late == "first"
spawn other read($w[0], _, 100)
expect close($w[1]) == 0
expect join other == 0
expect $? == 0
expect write($w[0], "x") == EBADF
expect close_range(0, ~0) == 0
expect close(0) == EBADF
