# Processes, users, limits, the rest; structs and lists of all kinds.
expect getpid == 1
proc q
expect q: getpid == 2
fork c; expect c: getppid == 1
expect setgroups(_, [30, 10, 20]) == 0
expect getgroups(0, NULL) == 3
expect getgroups(_, $g) == 3
expect $g == [10, 20, 30]
expect getgroups(2, $g) == EINVAL
expect setgroups(-1, [1]) == EINVAL
expect setresuid(-1, 100, -1) == 0
expect getresuid($r, $e, $s) == 0
expect [$r, $e, $s] == [0, 100, 0]
expect setgroups(0, NULL) == EPERM
setresuid(-1, 0, -1)
umask 077
expect umask(022) == 077
expect prlimit64(0, RLIMIT_NOFILE, {10, 20}, $old) == 0
expect getrlimit(RLIMIT_NOFILE, $now) == 0
expect $now == {rlim_cur=10, rlim_max=20}
expect setrlimit(RLIMIT_NOFILE, {20, 10}) == EINVAL
expect uname($u) == 0
expect $u.sysname == "Linux"
expect $u.machine == "x86_64"
expect sysinfo($si) == 0
expect $si.procs == 3
expect $si.loads == [0, 0, 0]
expect $si.totalram * $si.mem_unit <= 64M
expect gettimeofday($tv, $tz) == 0
expect $tz == {0, 0}
expect time($now) == $now
expect getrandom($bytes, 8, GRND_NONBLOCK) == 8
expect $bytes != "\0" * 8
expect clock_settime(CLOCK_REALTIME, {0, 0}) == EPERM
expect setpgid(0, 0) == EPERM

# Lengths and pointers that no call can accept.
pipe($fd)
write($fd[1], "xyz")
expect read($fd[0], NULL, 1) == EFAULT
expect read($fd[0], 8, 1) == EFAULT
expect write($fd[1], "abc", -1) == EFAULT
expect readv($fd[0], [{NULL, 1}, {"", -1}]) == EINVAL
expect readv($fd[0], [1] * 1025) == EINVAL
expect poll([], 4000000, 0) == EINVAL
expect fcntl(0, 4711, 1) == EINVAL
expect ioctl(0, 0x7777, 8) == ENOTTY
